"""The homes of a process on one clock: who sends what when."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import itemgetter
from typing import Final, Protocol

from edge_client.clock import Clock, real_s
from local.simulator.devices import gateway_id
from local.simulator.network import Network
from local.simulator.scenarios import QUIET, GatewayStops, LosesNetwork
from local.simulator.sensors import SECOND_US, Message, SimulatedHome
from local.simulator.truth import Truth

_LOG = logging.getLogger(__name__)
_LAG_WARN_US: Final = 2 * SECOND_US
_NAP_S: Final = 0.2  # how late a stop is noticed


class Sink(Protocol):
    """Where messages go: local.simulator.publisher.SensorPublisher."""

    def publish(self, topic: str, payload: bytes) -> None:
        """Hand over one message."""


class Street:
    """Renders each home's second shortly before it begins, and sends each message when it is due.

    Homes take turns over the second, so that twenty of them render no burst.

    Args:
        clock: Simulated time.
        start_us: Simulated time of every home's second 0.
        stop_gateway: Called with a home's id when its gateway loses its last power.
        network: The homes' ways out, for scripts that cut them.
        now_us: The machine's clock, µs since 1970 UTC: what truth is written in.
    """

    def __init__(
        self,
        homes: Sequence[SimulatedHome],
        clock: Clock,
        start_us: int,
        sink: Sink,
        truth: Truth,
        stop_gateway: Callable[[str], None],
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
        network: Network | None = None,
    ) -> None:
        self._homes, self._clock, self._start_us = list(homes), clock, start_us
        self._sink, self._truth, self._now_us = sink, truth, now_us
        self._stop_gateway = stop_gateway
        self._network = network
        self._failures = sorted(self._failures_of(homes), key=itemgetter(0))
        self._dead: set[str] = set()
        self._due: list[tuple[int, int, str, Message]] = []
        self._count = 0
        self._finished = False
        self.max_lag_us = 0  # how late a message was sent at worst, simulated

    def run(self, stop: threading.Event, duration_s: float | None = None) -> None:
        """Live until `stop`, or for `duration_s` simulated seconds."""
        scripted = [home.script.lasts_s for home in self._homes if home.script.name != QUIET.name]
        scripts_over_s = max(scripted, default=QUIET.lasts_s)
        for home in self._homes:
            self._render(home, 0)
        second = 0
        while not stop.is_set() and (duration_s is None or second < duration_s):
            for turn, home in enumerate(self._homes):
                share_us = turn * SECOND_US // len(self._homes)
                self._send_until(self._start_us + second * SECOND_US + share_us, stop)
                self._render(home, second + 1)
            self._send_until(self._start_us + (second + 1) * SECOND_US - 1, stop)
            second += 1
            self._fail_until(second)
            if second >= scripts_over_s and not self._finished:
                self._finished = True
                self._truth.finished()

    def _render(self, home: SimulatedHome, second: int) -> None:
        if home.home_id in self._dead:
            return
        for message in home.second(second):
            heapq.heappush(self._due, (message.due_us, self._count, home.home_id, message))
            self._count += 1  # messages of one moment keep their order

    def _send_until(self, moment_us: int, stop: threading.Event) -> None:
        while not stop.is_set():
            next_us = min(self._due[0][0] if self._due else moment_us, moment_us)
            early_us = next_us - self._clock.now_us()
            if early_us > 0:
                stop.wait(min(real_s(self._clock, early_us), _NAP_S))
            elif self._due and self._due[0][0] <= moment_us:
                self._send(*heapq.heappop(self._due)[2:], late_us=-early_us)
            else:
                return

    def _send(self, home_id: str, message: Message, *, late_us: int) -> None:
        if home_id in self._dead:
            return
        if late_us > _LAG_WARN_US and late_us > 2 * self.max_lag_us:
            _LOG.warning("sensors are %.1f simulated seconds late: this machine is busy", late_us / 1e6)
        self.max_lag_us = max(self.max_lag_us, late_us)
        now_us = self._now_us()
        self._sink.publish(message.topic, message.payload)
        if message.stimulus:
            self._truth.stimulus(home_id, message.stimulus, message.topic, message.expect, now_us)

    def _fail_until(self, second: int) -> None:
        """Power and networks that fail, or come back, by this second."""
        while self._failures and self._failures[0][0] <= second:
            _, act = self._failures.pop(0)
            act()

    def _failures_of(self, homes: Sequence[SimulatedHome]) -> Iterator[tuple[float, Callable[[], None]]]:
        for home in homes:
            for effect in home.script.effects:
                if isinstance(effect, GatewayStops):
                    yield effect.at_s, partial(self._lose_power, home, effect)
                elif isinstance(effect, LosesNetwork):
                    yield effect.at_s, partial(self._lose_network, home, effect)
                    yield effect.at_s + effect.seconds, partial(self._regain_network, home, effect)

    def _lose_power(self, home: SimulatedHome, effect: GatewayStops) -> None:
        """The broker lives in the gateway: with it the home falls silent."""
        self._dead.add(home.home_id)
        self._stop_gateway(home.home_id)
        self._truth.stopped(home.home_id, gateway_id(home.number), effect.expect)
        if effect.area:
            self._truth.vanished(home.home_id, effect.area)

    def _lose_network(self, home: SimulatedHome, effect: LosesNetwork) -> None:
        if self._network is None:
            raise ValueError(f"{home.home_id} loses its network, and none was given to the street")
        self._network.cut(home.home_id)
        self._truth.vanished(home.home_id, effect.area)

    def _regain_network(self, home: SimulatedHome, effect: LosesNetwork) -> None:
        if self._network is not None:
            self._network.mend(home.home_id)
        self._truth.back(home.home_id, effect.area)
