"""From message to outbox, step by step: acknowledgements and minutes."""

import numpy as np
import pytest

from schemas import hearthwatch_v1_pb2 as pb
from schemas.events import Code
from schemas.readings import check_reading
from tests.edge_client.fakes import MINUTE, SECOND, START_US, air_frame, motion_frame, sound_frame


def test_frame_is_acknowledged_only_after_its_commit(bench):
    arrival = bench.rich(air_frame(START_US))
    bench.core.step()
    assert bench.acked == []
    bench.pass_time(1)
    assert bench.acked == [arrival._replace(payload=b"")]
    assert len(bench.outbox.kept_frames()) == 1


def test_event_is_committed_and_acknowledged_at_once(bench):
    arrival = bench.zigbee("panic-bedroom", {"action": "panic"})
    bench.core.step()
    assert bench.acked == [arrival._replace(payload=b"")]
    assert bench.woken == [pb.LANE_URGENT]
    [(header, body)] = bench.sent(pb.LANE_URGENT)
    [event] = body.events
    assert (event.code, event.sensor_id, event.room) == (Code.PANIC, "panic-bedroom", "bedroom")
    assert event.occurred_us == header.created_us == START_US
    assert len(event.event_id) == 16


def a_minute(bench, start_us):
    """Every rich sensor's minute, at its pace."""
    for second in range(60):
        bench.rich(air_frame(start_us + second * SECOND, co_ppm=second))
        bench.pass_time(1)
    bench.rich(motion_frame(start_us))
    bench.rich(sound_frame(start_us))


def test_minute_is_sealed_with_all_readings_and_the_intake_is_empty(bench):
    a_minute(bench, START_US)
    bench.pass_time(3)
    [(header, body)] = bench.sent(pb.LANE_MINUTES)
    assert [reading.sensor_id for reading in body.readings] == ["air-kitchen", "motion-hall", "sound-kitchen"]
    for reading in body.readings:
        check_reading(reading)
    assert header.lane == pb.LANE_MINUTES
    assert not body.events
    assert bench.outbox.kept_frames() == []
    assert len(bench.acked) == 62


def test_second_minute_is_sealed_as_soon_as_it_is_whole(bench):
    a_minute(bench, START_US)
    bench.pass_time(3)
    bench.sent(pb.LANE_MINUTES)
    for second in range(3, 60):
        bench.rich(air_frame(START_US + MINUTE + second * SECOND))
    bench.pass_time(57)
    bench.rich(motion_frame(START_US + MINUTE))
    bench.core.step()
    assert bench.sent(pb.LANE_MINUTES) == []
    bench.rich(sound_frame(START_US + MINUTE))
    bench.core.step()
    [(header, body)] = bench.sent(pb.LANE_MINUTES)
    assert len(body.readings) == 3
    assert header.created_us == START_US + 2 * MINUTE


def test_silent_home_still_sends_a_batch_a_minute(bench):
    bench.pass_time(185)
    batches = bench.sent(pb.LANE_MINUTES)
    assert [len(body.readings) for _, body in batches] == [0, 0, 0]


def test_killed_gateway_seals_what_it_had_acknowledged(bench):
    for second in range(30):
        bench.rich(air_frame(START_US + second * SECOND, co_ppm=second))
        bench.pass_time(1)
    acknowledged = len(bench.acked)
    assert acknowledged >= 29
    bench.kill()
    bench.clock.forward(300)
    bench.open()
    bench.rich(air_frame(START_US + 29 * SECOND, co_ppm=29))  # the broker delivers again
    bench.pass_time(70)
    minutes = {r.minute_us: r for _, body in bench.sent(pb.LANE_MINUTES) for r in body.readings}
    air = np.frombuffer(minutes[START_US].air.samples, "<f4").reshape(60, 6)[:, 1]
    assert minutes[START_US].seconds_present == (1 << 30) - 1
    assert air[:30].tolist() == list(range(30))
    assert bench.outbox.kept_frames() == []


def test_backlog_of_several_minutes_is_sealed_minute_by_minute(bench):
    for minute in range(-5, 0):
        bench.rich(motion_frame(START_US + minute * MINUTE))
    bench.pass_time(5)
    batches = bench.sent(pb.LANE_MINUTES)
    assert [[r.minute_us for r in body.readings] for _, body in batches] == [
        [START_US + minute * MINUTE] for minute in range(-5, 0)
    ]


def test_frame_delivered_twice_is_one_reading_and_acknowledged_twice(bench):
    for _ in range(2):
        bench.rich(motion_frame(START_US))
    bench.pass_time(65)
    for _ in range(2):
        bench.rich(motion_frame(START_US))
    bench.pass_time(65)
    readings = [r for _, body in bench.sent(pb.LANE_MINUTES) for r in body.readings]
    assert len(readings) == 1
    assert len(bench.acked) == 4
    assert bench.core.counts.repeated == 3


@pytest.mark.parametrize("days", [-1, 1])
def test_clock_that_is_set_loses_no_frame(bench, days):
    bench.rich(motion_frame(START_US))
    bench.pass_time(2)
    bench.clock.set(START_US + days * 86_400 * SECOND)
    bench.rich(air_frame(START_US + days * 86_400 * SECOND))
    bench.pass_time(70)
    readings = [r for _, body in bench.sent(pb.LANE_MINUTES) for r in body.readings]
    assert sorted(r.minute_us for r in readings) == sorted([START_US, START_US + days * 86_400 * SECOND])
    assert bench.outbox.kept_frames() == []


def test_sensor_that_lost_its_clock_is_kept_at_the_gateways_time(bench):
    bench.rich(air_frame(0))
    bench.pass_time(65)
    readings = [r for _, body in bench.sent(pb.LANE_MINUTES) for r in body.readings]
    assert [abs(r.minute_us - START_US) <= MINUTE for r in readings] == [True]
