"""Runs N homes in one process: the real gateways, and the sensors that speak to their broker."""

from __future__ import annotations

import datetime as dt
import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Final

from edge_client.clock import ScaledClock
from edge_client.config import GatewayConfig
from edge_client.gateway import Gateway
from edge_client.publisher import Publisher, PubsubPublisher
from local.simulator import household, scenarios
from local.simulator.confirmed import CountingPublisher
from local.simulator.enrol import Fleet, configurations, enrol, firestore_client, register
from local.simulator.fire import recorded_fire
from local.simulator.microphone import Sounds
from local.simulator.network import Network
from local.simulator.publisher import SensorPublisher
from local.simulator.scenarios import QUIET, Script
from local.simulator.sensors import SECOND_US, SimulatedHome
from local.simulator.settings import SimulationSettings
from local.simulator.street import Street
from local.simulator.truth import SENT_FILE, TRUTH_FILE, Truth, write_sent

_LOG = logging.getLogger(__name__)
_WINTER_S: Final = 3_600  # German local time less UTC
_CONNECT_S: Final = 30.0
_SENT_EVERY_S: Final = 2.0
_DRAIN_S: Final = 8.0
_STOP_S: Final = 10.0


def run(settings: SimulationSettings, stop: threading.Event | None = None) -> int:
    """Run a simulation until its duration is over, or SIGTERM, SIGINT or `stop`. Returns an exit code.

    Broker, Pub/Sub (PUBSUB_EMULATOR_HOST) and Firestore (FIRESTORE_EMULATOR_HOST) must be up.
    """
    stop = stop or threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    fleet = enrol(
        settings.run_dir,
        settings.homes,
        settings.seed,
        project=settings.pubsub_project,
        broker_host=settings.broker_host,
        broker_port=settings.broker_port,
        now=dt.datetime.now(dt.UTC),
        bucket=settings.bucket,
        uplink=settings.uplink,
    )
    register(firestore_client(settings.pubsub_project), fleet, settings.seed)
    return simulate(settings, fleet, stop, PubsubPublisher(settings.pubsub_project))


def simulate(settings: SimulationSettings, fleet: Fleet, stop: threading.Event, publisher: Publisher) -> int:
    """Run the homes of an enrolled fleet against a broker and a publisher; closes the publisher."""
    network = Network(publisher)
    counting = CountingPublisher(network)
    clock = ScaledClock(settings.speed, time.time_ns() // 1000)
    configs = configurations(fleet)
    scripts = scenarios.assign(settings.scenario, settings.homes, _armed_after_s(configs[0]))
    sent = settings.run_dir / SENT_FILE
    with ExitStack() as stack:
        truth = Truth(settings.run_dir / TRUTH_FILE, lambda: time.time_ns() // 1000, settings.speed)
        stack.callback(truth.close)
        stack.callback(lambda: write_sent(sent, counting.sent()))
        stack.callback(counting.close)
        gateways = {c.home_id: Gateway(c, clock=clock, publisher=counting) for c in configs}
        stack.callback(lambda: _each(gateways.values(), lambda gateway: gateway.stop(_STOP_S)))
        _each(gateways.values(), Gateway.start)
        sensors = SensorPublisher(settings.broker_host, settings.broker_port)
        sensors.start()
        stack.callback(sensors.stop)
        stack.callback(lambda: sensors.drain(_DRAIN_S))
        if not _connected(gateways, stop):
            return 0 if stop.is_set() else 1
        truth.start(settings.scenario, settings.seed, settings.homes, scripts)
        _periodically(stack, lambda: write_sent(sent, counting.sent()))
        # A whole second ahead at least: a session that is up may still wait for its subscriptions.
        start_us = (clock.now_us() // SECOND_US + 1 + math.ceil(settings.speed)) * SECOND_US
        homes = make_homes(settings, scripts, start_us)

        def lose_power(home_id: str) -> None:
            """Stopping waits for threads; the other homes do not."""
            dying = threading.Thread(
                target=gateways.pop(home_id).stop, args=(_STOP_S,), name=f"{home_id}-stops"
            )
            dying.start()
            stack.callback(dying.join)

        street = Street(homes, clock, start_us, sensors, truth, lose_power, network=network)
        _LOG.info("%d homes run, scenario %s", settings.homes, settings.scenario)
        street.run(stop, settings.duration_s)
    return 0


def make_homes(
    settings: SimulationSettings, scripts: Mapping[int, Script], start_us: int
) -> list[SimulatedHome]:
    """The simulated homes, at local time `start_hour` or by German clocks."""
    offset_s = _WINTER_S
    if settings.start_hour is not None:
        of_day_s = start_us // SECOND_US % household.DAY_S
        offset_s = round((settings.start_hour * 3600 - of_day_s) / 60) * 60
    sounds = Sounds(settings.recordings)
    homes = []
    for number in range(1, settings.homes + 1):
        rng = household.rng_of(settings.seed, number, household.FIRE)
        homes.append(
            SimulatedHome(
                settings.seed,
                number,
                start_us,
                offset_s,
                scripts.get(number, QUIET),
                sounds=sounds,
                curve=recorded_fire(settings.recordings, rng) if number in scripts else None,
            )
        )
    return homes


def _armed_after_s(config: GatewayConfig) -> float:
    """From a gateway's first start until "arm away" protects."""
    return float(max(config.arming.exit_delay_s, config.arming.settle_s))


def _each(gateways: Iterable[Gateway], act: Callable[[Gateway], None]) -> None:
    """Do it to all, a few at a time: starting and stopping mostly waits for disk and broker."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(act, list(gateways)))


def _connected(gateways: Mapping[str, Gateway], stop: threading.Event) -> bool:
    """Wait until every gateway hears its sensors: what is sent before is lost."""
    deadline = time.monotonic() + _CONNECT_S
    while not stop.is_set():
        waiting = [home_id for home_id, gateway in gateways.items() if not gateway.connected]
        if not waiting:
            return True
        if time.monotonic() > deadline:
            _LOG.error("%d gateways have no broker after %.0f s: %s", len(waiting), _CONNECT_S, waiting[:5])
            return False
        stop.wait(0.05)
    return False


def _periodically(stack: ExitStack, act: Callable[[], None]) -> None:
    """Do it every `_SENT_EVERY_S` seconds until the stack unwinds."""
    over = threading.Event()

    def loop() -> None:
        while not over.wait(_SENT_EVERY_S):
            act()

    thread = threading.Thread(target=loop, name="sent", daemon=True)
    thread.start()
    stack.callback(thread.join)
    stack.callback(over.set)
