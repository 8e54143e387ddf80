"""What travels live: a pure rule, minute by minute."""

from __future__ import annotations

import numpy as np
import pytest

from edge_client.policy import CHANGED_DB, LivePolicy, deserves_log_mel
from schemas import hearthwatch_v1_pb2 as pb
from schemas.live_features import complete
from schemas.readings import MINUTE_US
from tests.fakes import NOW_US, SENSORS, reading

GATEWAY = "gw-0001"
ARMED = pb.Arming(mode=pb.ARMING_MODE_AWAY)


def sound(level_dba: float, minute: int = 0) -> pb.Reading:
    chosen = next(s for s in SENSORS if s[0] == "sound-kitchen")
    made = reading(*chosen, NOW_US + minute * MINUTE_US, np.random.default_rng(1), gateway_id=GATEWAY)
    made.sound.levels = bytes([round(level_dba * 2)] * 60)
    return made


def sent_log_mel(policy: LivePolicy, made: pb.Reading, *, armed: bool = False) -> bool:
    split = policy.split(made.minute_us, [made], ARMED if armed else pb.Arming(), payloads=False)
    return bool(split.live.features[0].log_mel)


@pytest.mark.parametrize(
    ("loudest", "background", "armed", "verdict"),
    [
        (30.0, None, False, True),  # nothing is known of this room yet
        (40.0, 38.0, False, False),  # quiet
        (38.0 + CHANGED_DB, 38.0, False, True),  # changed
        (60.0, 60.0, False, False),  # the radio of the last hour
        (60.0, 60.0, True, True),  # nobody should be there
        (40.0, 38.0, True, False),
        (72.0, 72.0, False, True),  # as loud as an alarm
    ],
)
def test_a_sound_deserves_its_log_mel_when_it_is_loud_or_changed(
    loudest: float, background: float | None, armed: bool, verdict: bool
) -> None:
    assert deserves_log_mel(loudest, background, armed=armed) is verdict


def test_a_lasting_sound_becomes_background_and_the_next_change_is_heard_again() -> None:
    policy = LivePolicy(GATEWAY)
    assert sent_log_mel(policy, sound(35))
    heard = [sent_log_mel(policy, sound(55, minute)) for minute in range(1, 40)]
    assert heard[:10] == [True] * 10
    assert not any(heard[30:])
    assert sent_log_mel(policy, sound(66, 41))


def test_features_go_live_and_every_payload_follows() -> None:
    readings = [reading(*s, NOW_US, np.random.default_rng(1), gateway_id=GATEWAY) for s in SENSORS]
    split = LivePolicy(GATEWAY).split(NOW_US, readings, pb.Arming(), payloads=False)
    assert list(split.later) == readings
    assert len(split.live.readings) == 0
    ids = [complete(f, GATEWAY, split.live).reading_id for f in split.live.features]
    assert ids == [r.reading_id for r in readings]


def test_in_alarm_the_payloads_go_live_and_nothing_follows() -> None:
    readings = [reading(*s, NOW_US, np.random.default_rng(1), gateway_id=GATEWAY) for s in SENSORS]
    split = LivePolicy(GATEWAY).split(NOW_US, readings, ARMED, payloads=True)
    assert list(split.live.readings) == readings
    assert (len(split.live.features), split.later) == (0, [])


def test_a_sound_without_levels_is_sent_whole() -> None:
    made = sound(40)
    made.sound.levels = b""
    assert sent_log_mel(LivePolicy(GATEWAY), made)
