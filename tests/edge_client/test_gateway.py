"""Between the network's thread and the core's."""

import threading
import time

from edge_client.clock import SystemClock
from edge_client.gateway import _MOST_QUEUED, Gateway
from edge_client.intake import Arrival
from tests.edge_client.fakes import FakePublisher, make_config


class NetworkThread:
    """Delivers without end; to connect anew, it is waited for as paho does."""

    def __init__(self, gateway):
        self._gateway, self._ending = gateway, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self._ending.is_set():
            self._gateway._deliver(Arrival("topic", b""))

    def reconnect(self):
        self._ending.set()
        self.thread.join(5)


def test_full_queue_stops_the_network_and_a_new_connection_does_not_wait_for_it(tmp_path):
    gateway = Gateway(make_config(tmp_path), clock=SystemClock(), publisher=FakePublisher())
    network = gateway._intake = NetworkThread(gateway)
    end_s = time.monotonic() + 5
    while gateway._arrivals.qsize() < _MOST_QUEUED and time.monotonic() < end_s:
        time.sleep(0.01)
    time.sleep(0.1)
    assert gateway._arrivals.qsize() == _MOST_QUEUED, "the rest waits in the broker"
    gateway._redeliver()
    assert not network.thread.is_alive()
    assert gateway._arrivals.qsize() > _MOST_QUEUED, "what had come is not dropped"
