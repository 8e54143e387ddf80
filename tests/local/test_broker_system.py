"""The homes' broker: what a connected session must get, it gets now; what it acknowledged is on its disk."""

from contextlib import contextmanager

import paho.mqtt.client as mqtt
import psutil
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from local import parts
from local.config import HOST, isolated
from local.simulator.publisher import SensorPublisher
from tests.edge_client import servers
from tests.edge_client.outside import wait

MESSAGES = 3_000
TOPIC = "homes/home-0001/zigbee2mqtt/mains"

pytestmark = pytest.mark.system


@contextmanager
def listening(port, *, acknowledging=True):
    """The messages that a persistent session gets, as they come: (number in the payload, id)."""
    got, subscribed = [], []
    listener = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id="listener",
        clean_session=False,
        manual_ack=not acknowledging,
    )
    listener.on_connect = lambda client, *_: client.subscribe("homes/#", 1)
    listener.on_subscribe = lambda *_: subscribed.append(True)
    listener.on_message = lambda _client, _data, message: got.append((int(message.payload), message.mid))
    listener.connect(HOST, port)
    listener.loop_start()
    wait(lambda: subscribed)
    yield got
    listener.disconnect()
    listener.loop_stop()


def test_a_burst_reaches_a_connected_session_whole_and_in_order(tmp_path):
    settings = isolated(tmp_path)
    settings.data.mkdir(parents=True)
    [part] = [part for part in parts.stand_ins(settings) if part.name == "mqtt"]
    sensors = SensorPublisher(HOST, settings.mqtt_port)
    with parts.running(part, settings), listening(settings.mqtt_port) as got:
        sensors.start()
        for number in range(MESSAGES):
            sensors.publish(TOPIC, b"%d" % number)
            assert number or sensors.drain(60)  # paho sends what waited for a connection behind newer ones
        assert sensors.drain(60)
        wait(lambda: len(got) >= MESSAGES)
        sensors.stop()
    assert [number for number, _ in got] == list(range(MESSAGES))


def test_message_that_cannot_be_written_is_not_acknowledged_and_comes_once_it_can(tmp_path):
    port = servers.free_port()
    with servers.broker(tmp_path, port), listening(port):
        pass
    sensors = SensorPublisher(HOST, port)
    with servers.broker(tmp_path, port) as process:
        sensors.start()
        sensors.publish(TOPIC, b"1")
        assert sensors.drain(60)
        psutil.Process(process.pid).rlimit(psutil.RLIMIT_FSIZE, (0, 0))  # no file can grow
        sensors.publish(TOPIC, b"2")
        assert not sensors.drain(2)
    with servers.broker(tmp_path, port), listening(port) as got:
        wait(lambda: {number for number, _ in got} == {1, 2})
        assert sensors.drain(60)
    sensors.stop()


def test_messages_delivered_again_and_new_ones_never_share_an_id(tmp_path):
    port = servers.free_port()
    sensors = SensorPublisher(HOST, port)
    with servers.broker(tmp_path, port):
        sensors.start()
        with listening(port, acknowledging=False) as got:
            sensors.publish(TOPIC, b"1")
            wait(lambda: len(got) == 1)
        with listening(port, acknowledging=False) as got:
            wait(lambda: len(got) == 1)
            sensors.publish(TOPIC, b"2")
            wait(lambda: len(got) == 2)
        sensors.stop()
    (first, older), (second, newer) = got
    assert (first, second) == (1, 2)
    assert newer == older % 65_535 + 1, "both of one count, which begins anywhere"
