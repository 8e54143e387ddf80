"""Garbage and floods from the home's devices harm nobody else."""

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schemas import hearthwatch_v1_pb2 as pb
from schemas.events import Code
from schemas.topics import RICH, ZIGBEE, sensor_topic
from tests.edge_client.bench import NEW, PANIC, RESTORE, WINDOW
from tests.edge_client.fakes import HOME, MINUTE, START_US, air_frame, motion_frame

GARBAGE = [
    ("homes/home-1/rich/air-kitchen", b"\xff\xfe\xfd"),
    ("homes/home-1/rich/air-kitchen", air_frame(START_US, co_ppm=float("nan")).SerializeToString()),
    ("homes/home-1/zigbee2mqtt/smoke-kitchen", b"{smoke"),
    ("homes/home-1/rich/nobody", b"x"),
    ("homes/home-2/rich/air-kitchen", air_frame(START_US).SerializeToString()),
    ("homes/home-1", b""),
]


@pytest.mark.parametrize(
    ("topic", "payload"), GARBAGE, ids=["bytes", "nan", "json", "unknown", "tenant", "topic"]
)
def test_garbage_is_counted_acknowledged_and_harms_nobody(bench, topic, payload):
    bench.send(topic, payload)
    bench.rich(motion_frame(START_US))
    bench.pass_time(65)
    assert bench.core.counts.garbage == 1
    assert len(bench.acked) == 2
    [(_, body)] = bench.sent(pb.LANE_MINUTES)
    assert [reading.sensor_id for reading in body.readings] == ["motion-hall"]


TEXT = st.text(st.characters(), max_size=50)  # lone surrogates, too: JSON can say them
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
ACTIONS = st.sampled_from(["disarm", "arm_away", "arm_stay", "panic"])


@given(
    st.sampled_from(["keypad-hall", "panic-bedroom", "mains", WINDOW]),
    st.fixed_dictionaries({}, optional={"action": ACTIONS | JSON, "action_code": JSON, "battery": JSON}),
)
@example("keypad-hall", {"action": "disarm", "action_code": "\ud800"})
@example("panic-bedroom", {"action": "\ud800"})
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_json_a_device_says_it_is_acknowledged_and_the_gateway_goes_on(bench, sensor_id, said):
    arrival = bench.send(sensor_topic(HOME, ZIGBEE, sensor_id), json.dumps(said).encode())
    bench.pass_time(1)
    assert bench.acked[-1] == arrival._replace(payload=b"")


def test_garbage_of_a_known_sensor_is_reported_once_and_restored(bench):
    for _ in range(50):
        bench.send(sensor_topic(HOME, RICH, "air-kitchen"), b"\xff")
    bench.pass_time(1)
    assert bench.told() == [(Code.SENSOR_TROUBLE, NEW, "air-kitchen")]
    bench.pass_time(601, step=1)
    assert (Code.SENSOR_TROUBLE, RESTORE, "air-kitchen") in bench.told()


def test_flooding_device_is_cut_off_told_and_declared_and_harms_nobody(bench):
    bench.pass_time(61)
    for number in range(5_000):
        bench.zigbee(WINDOW, {"contact": number % 2 == 1})
        if number % 200 == 0:
            bench.pass_time(0.01, step=0.01)
    bench.zigbee("panic-bedroom", {"action": "panic"})
    bench.pass_time(1)
    assert bench.told() == [(Code.SENSOR_TROUBLE, NEW, WINDOW), PANIC], "once"
    assert bench.core.counts.flooded > 2_900
    assert len(bench.outbox.kept_frames()) <= 2_100
    assert len(bench.acked) == 5_001
    bench.pass_time(60)
    gaps = [g for header, _ in bench.sent(pb.LANE_MINUTES) for g in header.gaps]
    assert {(g.reason, g.first_us) for g in gaps} == {(pb.GAP_REASON_FLOOD, START_US + MINUTE)}
    assert {g.last_seq - g.first_seq for g in gaps} == {0}, "one seq a minute"


def test_last_word_of_a_flood_counts(bench):
    for _ in range(2_100):
        bench.zigbee("smoke-kitchen", {"smoke": False})
        bench.core.step()
    bench.zigbee("smoke-kitchen", {"smoke": True})
    bench.pass_time(1)
    assert (Code.SMOKE, NEW, "smoke-kitchen") in bench.told()


def test_device_that_repeats_one_frame_for_ever_is_told(bench):
    for _ in range(2_100):
        bench.rich(motion_frame(START_US))
        bench.core.step()
    bench.pass_time(1)
    assert bench.told() == [(Code.SENSOR_TROUBLE, NEW, "motion-hall")]
    assert len(bench.outbox.kept_frames()) == 1


def test_days_that_the_broker_kept_are_no_flood_and_hold_up_no_alarm(bench):
    for minute in range(600):
        bench.rich(motion_frame(START_US - (minute + 1) * MINUTE))
        bench.zigbee(WINDOW, {"contact": minute % 2 == 1})
        bench.core.step()
    bench.pass_time(3)
    assert bench.outbox.pending(pb.LANE_MINUTES) <= 20, "a few minutes a step"
    bench.zigbee("panic-bedroom", {"action": "panic"})
    bench.core.step()
    assert PANIC in bench.told()
    bench.pass_time(80)
    readings = [r for _, body in bench.sent(pb.LANE_MINUTES) for r in body.readings]
    assert len({r.minute_us for r in readings if r.sensor_id == "motion-hall"}) == 600
    assert bench.core.counts.flooded == 0
