"""Three lanes out of the outbox, each on a thread of its own, so that minutes never delay an alarm.

Urgent: oldest first, at once. Minutes: the newest first if it is fresh, then the backlog, oldest
first, at a limited and jittered rate (a street that comes back does not arrive as one wave). Bulk:
the notices of hourly objects, oldest first (edge_client/hourly.py uploads the objects themselves).
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from edge_client.config import UplinkConfig
from edge_client.outbox import Batch, Outbox, OutboxUnavailable
from edge_client.publisher import Publisher, PublishFailed, PublishRefused
from schemas import hearthwatch_v1_pb2 as pb
from schemas.topics import ATTRIBUTE_GATEWAY, ATTRIBUTE_HOME, ATTRIBUTE_LANE, LANE_TOPICS

_log = logging.getLogger(__name__)
_IDLE_S: Final = 60.0  # a look at the outbox without being woken


def backoff_s(failures: int, first_s: float, most_s: float, rng: random.Random) -> float:
    """Failures in a row → real seconds to wait: doubling, capped, and between half and all of it.

    >>> 2.0 <= backoff_s(3, 1.0, 60.0, random.Random(1)) <= 4.0
    True
    """
    ceiling = min(most_s, first_s * 2.0 ** (min(failures, 30) - 1))
    return ceiling * rng.uniform(0.5, 1.0)


@dataclass
class LaneCount:
    """What a lane did since start; `last_error` is why it is not getting through, "" if it is."""

    sent: int = 0
    failures: int = 0
    refused: int = 0
    last_error: str = ""


@dataclass
class _Lane:
    lane: pb.Lane
    topic: str
    timeout_s: float
    most_backoff_s: float
    count: LaneCount = field(default_factory=LaneCount)
    work: threading.Event = field(default_factory=threading.Event)
    refused_until_s: dict[int, float] = field(default_factory=dict)  # row id → monotonic
    thread: threading.Thread | None = None


class Uplink:
    """Publishes what the outbox holds until it is told to stop."""

    def __init__(
        self,
        outbox: Outbox,
        publisher: Publisher,
        *,
        home_id: str,
        gateway_id: str,
        topics: dict[pb.Lane, str],
        config: UplinkConfig,
        fresh_since_us: Callable[[], int],
        rng: random.Random,
    ) -> None:
        """
        Args:
            topics: Topic name of each lane.
            fresh_since_us: → creation time from which a minutes batch counts as live.
        """
        self._outbox, self._publisher = outbox, publisher
        self._home_id, self._gateway_id = home_id, gateway_id
        self._config, self._fresh_since_us, self._rng = config, fresh_since_us, rng
        self._stopping = threading.Event()
        self._lanes = {
            pb.LANE_URGENT: _Lane(
                pb.LANE_URGENT, topics[pb.LANE_URGENT], config.urgent_timeout_s, config.urgent_backoff_s
            ),
            **{
                lane: _Lane(lane, topics[lane], config.minutes_timeout_s, config.minutes_backoff_s)
                for lane in (pb.LANE_MINUTES, pb.LANE_BULK)
            },
        }

    def start(self) -> None:
        """Start the threads."""
        for lane in self._lanes.values():
            name = f"{self._gateway_id}-{LANE_TOPICS[lane.lane]}"
            lane.thread = threading.Thread(target=self._run, args=(lane,), name=name, daemon=True)
            lane.thread.start()

    def wake(self, lane: pb.Lane) -> None:
        """Something new lies in this lane; do not wait out a backoff."""
        self._lanes[lane].work.set()

    def stop(self, timeout_s: float) -> None:
        """Stop the threads; an attempt under way is waited for, up to `timeout_s` real seconds each."""
        self._stopping.set()
        for lane in self._lanes.values():
            lane.work.set()
        for lane in self._lanes.values():
            if lane.thread is not None:
                lane.thread.join(timeout_s)

    @property
    def alive(self) -> bool:
        """Are all threads running?"""
        return all(lane.thread is not None and lane.thread.is_alive() for lane in self._lanes.values())

    def count(self, lane: pb.Lane) -> LaneCount:
        """Counters of a lane."""
        return self._lanes[lane].count

    def _run(self, lane: _Lane) -> None:
        failures = 0
        while not self._stopping.is_set():
            lane.work.clear()
            try:
                live, batch = self._next(lane)
                if batch is None:
                    failures = 0
                    lane.work.wait(_IDLE_S)
                    continue
                self._send(lane, batch)
                failures = 0
                if not live and lane.lane != pb.LANE_URGENT:
                    lane.work.wait(self._rng.uniform(0.5, 1.5) / self._config.backlog_per_s)
            except (PublishFailed, OutboxUnavailable) as error:
                failures += 1
                lane.count.failures += 1
                lane.count.last_error = str(error)
                pause_s = backoff_s(failures, self._config.first_backoff_s, lane.most_backoff_s, self._rng)
                level = logging.WARNING if failures == 1 else logging.DEBUG
                _log.log(level, "%s: %s; again in %.1f s", self._gateway_id, error, pause_s)
                lane.work.wait(pause_s)

    def _next(self, lane: _Lane) -> tuple[bool, Batch | None]:
        now_s = time.monotonic()
        skip = [row_id for row_id, until_s in lane.refused_until_s.items() if until_s > now_s]
        if lane.lane == pb.LANE_MINUTES:
            since_us = self._fresh_since_us()
            live = self._outbox.take(lane.lane, newest_since_us=since_us, skip=skip)
            if live is not None:
                return True, live
        return False, self._outbox.take(lane.lane, skip=skip)

    def _send(self, lane: _Lane, batch: Batch) -> None:
        attributes = {
            ATTRIBUTE_HOME: self._home_id,
            ATTRIBUTE_GATEWAY: self._gateway_id,
            ATTRIBUTE_LANE: LANE_TOPICS[lane.lane],
        }
        try:
            self._publisher.publish(lane.topic, batch.envelope, attributes, lane.timeout_s)
        except PublishRefused as error:
            # One message that the service will not take must not block the others; it stays and
            # is tried again much later.
            self._outbox.release(batch)
            lane.refused_until_s[batch.row_id] = time.monotonic() + self._config.retry_refused_s
            lane.count.refused += 1
            lane.count.last_error = str(error)
            _log.error("%s: batch %d refused: %s", self._gateway_id, batch.seq, error)
            return
        except BaseException:
            self._outbox.release(batch)
            raise
        self._outbox.confirm(batch)
        lane.count.sent += 1
        lane.count.last_error = ""
