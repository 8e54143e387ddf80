"""What of a minute travels live under the adaptive uplink. Pure rules (decision 012).

Events and features always do. A payload travels live while the home is in alarm or somebody in the
cloud has asked for it, and then it is not in the hourly object. A sound's features are its log-mel, a
hundred times larger than any other: it is sent when the minute deserves it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from edge_client.signals import Signal
from schemas import hearthwatch_v1_pb2 as pb
from schemas.events import Category, meaning
from schemas.payloads import MINUTE_US, levels_dba

LOUD_DBA: Final = 70.0  # speech beside the microphone is about 60, a smoke alarm in the next room 70
ARMED_DBA: Final = 45.0  # above a quiet room: nobody should be there, or all should be asleep
CHANGED_DB: Final = 6.0  # above what the room's minutes usually reach
_MEMORY: Final = 1 / 15  # of the background, a minute: a radio that plays on becomes background
ALARM_LIVE_US: Final = 10 * MINUTE_US  # from an alarm on: as long as a window may still change


class UplinkPolicy(StrEnum):
    """How a home's readings reach the cloud; both store every payload."""

    FULL = "full"  # each minute's payloads live
    ADAPTIVE = "adaptive"  # features live, payloads hourly


def is_alarm(signal: Signal) -> bool:
    """Does a signal begin an alarm, for which somebody will want to see all there is?"""
    lasting = (Category.LIFE, Category.INTRUSION)
    return signal.qualifier == pb.QUALIFIER_NEW and meaning(signal.code).category in lasting


def load_features() -> Callable[..., pb.Features]:
    """→ `features_of`, imported with numpy when it is first wanted: the full uplink does without its 18 MB.

    Who is about to choose the adaptive uplink calls it before, so that no alarm waits for an import.
    """
    from schemas.live_features import features_of

    return features_of


class Split(NamedTuple):
    """A minute's readings on their two ways."""

    live: pb.Body
    later: list[pb.Reading]


def deserves_log_mel(loudest_dba: float, background_dba: float | None, *, armed: bool) -> bool:
    """Is a minute's sound worth its log-mel?

    Args:
        loudest_dba: Its loudest second.
        background_dba: What minutes of this microphone usually reach, None: not known yet.

    >>> deserves_log_mel(40.0, 38.0, armed=False), deserves_log_mel(46.0, 38.0, armed=False)
    (False, True)
    """
    if background_dba is None or loudest_dba >= LOUD_DBA:
        return True
    return loudest_dba >= background_dba + CHANGED_DB or (armed and loudest_dba >= ARMED_DBA)


class LivePolicy:
    """Decides for one home, minute by minute; remembers what its microphones usually hear.

    What it remembers does not outlive a restart: then the first minutes count as deserving.
    """

    def __init__(self, gateway_id: str) -> None:
        self._gateway_id = gateway_id
        self._background: dict[str, float] = {}

    def split(
        self, minute_us: int, readings: Iterable[pb.Reading], arming: pb.Arming, *, payloads: bool
    ) -> Split:
        """Readings of a minute → the body that goes live and the readings that follow.

        Args:
            payloads: In alarm, or asked for: all of it travels live.
        """
        make = None if payloads else load_features()
        armed = arming.mode in (pb.ARMING_MODE_STAY, pb.ARMING_MODE_AWAY)
        body, later = pb.Body(), []
        for reading in readings:
            deserving = self._hears(reading, armed)
            if make is None:
                body.readings.append(reading)
            else:
                features = make(reading, self._gateway_id, with_log_mel=deserving)
                if reading.minute_us != minute_us:
                    features.minute_us = reading.minute_us
                body.features.append(features)
                body.features_minute_us = minute_us
                later.append(reading)
        return Split(body, later)

    def _hears(self, reading: pb.Reading, armed: bool) -> bool:
        """Whether a reading is a sound that deserves its log-mel; its level joins the background."""
        if not reading.HasField("sound") or not reading.sound.levels:
            return reading.HasField("sound")
        loudest = max(levels_dba(reading.sound))
        known = self._background.get(reading.sensor_id)
        self._background[reading.sensor_id] = (
            loudest if known is None else known + _MEMORY * (loudest - known)
        )
        return deserves_log_mel(loudest, known, armed=armed)
