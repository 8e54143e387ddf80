"""What of a minute travels live, and what is kept, under the adaptive uplink."""

import contextlib

import pytest

from edge_client.policy import UplinkPolicy
from schemas import hearthwatch_v1_pb2 as pb
from schemas.readings import check_reading
from tests.edge_client.bench import Bench
from tests.edge_client.fakes import MINUTE, SECOND, START_US, air_frame, motion_frame, sound_frame

ADAPTIVE = {"uplink": {"policy": "adaptive"}, "objects": {"bucket": "b"}}


@pytest.fixture
def adaptive(tmp_path):
    bench = Bench(tmp_path, **ADAPTIVE)
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: bench.outbox.close())
        yield bench


def one_minute(bench):
    """A minute of sound, motion and air, said at once; sealed within three seconds of its end."""
    now_us = bench.clock.now_us()
    start_us = now_us // MINUTE * MINUTE
    for second in range(60):
        bench.rich(air_frame(start_us + second * SECOND))
    for frame in (motion_frame(start_us), sound_frame(start_us)):
        bench.rich(frame)
    bench.pass_time((start_us + MINUTE - now_us) / SECOND + 3, step=1)


def test_adaptive_minute_sends_features_and_keeps_the_payloads(adaptive):
    one_minute(adaptive)
    ((header, body),) = adaptive.sent(pb.LANE_MINUTES)
    assert len(body.readings) == 0
    assert sorted(f.sensor_id for f in body.features) == ["air-kitchen", "motion-hall", "sound-kitchen"]
    assert header.dictionary_id > 0
    (kept,) = adaptive.outbox.kept.waiting()
    readings = adaptive.outbox.kept.read(kept.number)
    assert (kept.minute_us, len(readings)) == (START_US, 3)
    for reading in readings:
        check_reading(reading)
    assert adaptive.outbox.kept_frames() == []


def test_kept_payloads_survive_a_kill(adaptive):
    one_minute(adaptive)
    adaptive.kill()
    adaptive.open()
    assert len(adaptive.outbox.kept.waiting()) == 1


def test_policy_changes_at_run_time_from_the_next_minute_on(adaptive):
    one_minute(adaptive)
    adaptive.core.minutes.uplink = UplinkPolicy.FULL
    one_minute(adaptive)
    adaptive.core.minutes.uplink = UplinkPolicy.ADAPTIVE
    one_minute(adaptive)
    kinds = [(len(body.readings), len(body.features)) for _, body in adaptive.sent(pb.LANE_MINUTES)]
    assert kinds == [(0, 3), (3, 0), (0, 3)]
    assert len(adaptive.outbox.kept.waiting()) == 2


def test_after_an_alarm_payloads_travel_live_for_ten_minutes(adaptive):
    adaptive.zigbee("panic-bedroom", {"action": "panic"})
    for _ in range(12):
        one_minute(adaptive)
    live = [bool(body.readings) for _, body in adaptive.sent(pb.LANE_MINUTES)]
    assert live == [True] * 9 + [False] * 3
    assert len(adaptive.outbox.kept.waiting()) == 3


def test_payloads_travel_live_while_somebody_asked_for_them(adaptive):
    adaptive.core.send_payloads(90 * SECOND)
    for _ in range(3):
        one_minute(adaptive)
    assert [bool(body.readings) for _, body in adaptive.sent(pb.LANE_MINUTES)] == [True, False, False]
