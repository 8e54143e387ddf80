"""A home's minutes, from messages to batch: what belongs to one, when it is over, what travels live.

Nothing here reaches the disk: who uses it commits what comes out, and says so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Final

from edge_client.clock import Moment
from edge_client.config import GatewayConfig
from edge_client.messages import MAX_AHEAD_US, parse_frame, parse_zigbee
from edge_client.minute import MinuteBuffer, SealedSensor, minute_of
from edge_client.policy import LivePolicy, UplinkPolicy
from edge_client.sealing import Change, Draft
from edge_client.store import IntakeRow
from schemas import hearthwatch_v1_pb2 as pb
from schemas.errors import BadInput
from schemas.payloads import MINUTE_US
from schemas.topics import RICH

_log = logging.getLogger(__name__)
_MOST_LATE: Final = 5  # minutes sealed late in one step: a message that comes now waits for no more
_REMEMBERED_US: Final = 2 * 60 * MINUTE_US


class Minutes:
    """The minutes of a home that have no batch yet. One thread uses it, but for `uplink`."""

    def __init__(self, config: GatewayConfig, now: Moment) -> None:
        self._gateway_id, self._sensors = config.gateway_id, {s.id: s for s in config.sensors}
        self.uplink = UplinkPolicy(config.uplink.policy)  # may be set at any time, by any thread
        self._live, self._payloads_until_us = LivePolicy(config.gateway_id), 0  # elapsed
        self._buffer = MinuteBuffer(config.gateway_id, config.sensors)
        self._touched_us: dict[int, int] = {}  # minute → elapsed at its last arrival
        self._next_us = now.utc_us // MINUTE_US * MINUTE_US  # the live minute, to be sealed next

    def resume(self, sealed: Iterable[SealedSensor], rows: Iterable[IntakeRow], now: Moment) -> None:
        """Begin anew with what is on disk.

        Args:
            sealed: What was sealed before.
            rows: Messages whose minute has no batch yet, oldest first.
        """
        self._buffer = MinuteBuffer(self._gateway_id, self._sensors.values(), sealed)
        for row in rows:
            self._add_again(row)
        self._touched_us = dict.fromkeys(self._buffer.minutes, now.elapsed_us)

    def add_frame(self, frame: pb.SensorFrame, now: Moment) -> bool:
        """A checked frame. False if it says nothing new."""
        if not self._buffer.add_frame(frame):
            return False
        self._touched_us[minute_of(frame)] = now.elapsed_us
        return True

    def add_state(self, row: IntakeRow, now: Moment) -> bool:
        """A plain device's message. True if it is a reading, as contacts and motion detectors give."""
        if not self._add_state(row):
            return False
        self._touched_us[row.minute_us] = now.elapsed_us
        return True

    def send_payloads(self, until_us: int) -> None:
        """Under any policy, payloads travel live until then, elapsed µs."""
        self._payloads_until_us = max(self._payloads_until_us, until_us)

    def due(self, now: Moment, grace_us: int) -> Iterator[int]:
        """Minutes to seal now: the live one, over and whole or its grace over; after it the late ones.

        Each has to be sealed before the next is asked for; one that is not comes again.
        """
        current_us = now.utc_us // MINUTE_US * MINUTE_US
        if not self._next_us <= current_us <= self._next_us + 2 * MINUTE_US:
            self._next_us = current_us - MINUTE_US  # the clock was set, or we slept
        live_us = self._next_us
        if live_us < current_us:
            over_us = now.utc_us - (live_us + MINUTE_US)
            if self._buffer.complete(live_us) or over_us >= grace_us:
                yield live_us
                self._next_us = live_us + MINUTE_US
        late = 0
        for minute_us in self._buffer.minutes:
            quiet_us = now.elapsed_us - self._touched_us.get(minute_us, 0)
            left_behind = minute_us < live_us or minute_us > current_us + MAX_AHEAD_US  # clock set back
            if left_behind and quiet_us >= grace_us:
                yield minute_us
                late += 1
                if late == _MOST_LATE:
                    break

    def change(self, minute_us: int, arming: pb.Arming, now: Moment) -> Change:
        """What seals a minute; nothing changes here until `sealed` says that it is on disk."""
        readings, sealed = self._buffer.peek(minute_us)
        payloads = self.uplink is UplinkPolicy.FULL or now.elapsed_us < self._payloads_until_us
        split = self._live.split(minute_us, readings, arming, payloads=payloads)
        return Change(
            now.utc_us,
            arming,
            drafts=[Draft(pb.LANE_MINUTES, split.live, packed=not payloads)],
            sealed=sealed,
            sealed_minutes=[minute_us],
            raw={minute_us: split.later} if split.later else {},
        )

    def sealed(self, minute_us: int, change: Change) -> None:
        """The minute is on disk."""
        self._buffer.commit(minute_us, change.sealed)
        self._buffer.forget_before(minute_us - _REMEMBERED_US)
        self._touched_us.pop(minute_us, None)

    def _add_state(self, row: IntakeRow) -> bool:
        message, kind = parse_zigbee(row.payload), self._sensors[row.sensor_id].kind
        state = None
        if kind == "contact" and message.contact is not None:
            state = not message.contact
        elif kind == "motion":
            state = message.occupancy
        if state is None:
            return False
        self._buffer.add_state(row.sensor_id, state, row.received_us, message.battery)
        return True

    def _add_again(self, row: IntakeRow) -> None:
        """A message that was durable before a restart."""
        sensor = self._sensors.get(row.sensor_id)
        try:
            if sensor is None:
                raise BadInput("no sensor of this home")
            if row.channel == RICH:
                self._buffer.add_frame(parse_frame(row.payload, sensor.id, sensor.wire_kind))
            else:
                self._add_state(row)
        except BadInput as error:  # the configuration changed: it stays in the file
            _log.error("%s: kept message of %s not used: %s", self._gateway_id, row.sensor_id, error)
