"""From message to outbox, step by step, with a clock that stands still."""

import contextlib
import json
import threading
import time

import numpy as np
import pytest

from edge_client.core import Core
from edge_client.intake import Arrival
from edge_client.outbox import Outbox, OutboxUnavailable
from edge_client.policy import UplinkPolicy
from edge_client.witness import Witness
from schemas import hearthwatch_v1_pb2 as pb
from schemas.events import Code
from schemas.readings import check_reading
from schemas.topics import RICH, ZIGBEE, sensor_topic
from tests.edge_client.fakes import (
    CODE,
    DURESS_CODE,
    HOME,
    MINUTE,
    SECOND,
    START_US,
    Ids,
    ManualClock,
    air_frame,
    make_config,
    make_identity,
    motion_frame,
    opened,
    sound_frame,
)

DOOR, WINDOW = "contact-front-door", "contact-kitchen-window"
NEW, RESTORE = pb.QUALIFIER_NEW, pb.QUALIFIER_RESTORE


class Bench:
    """A core on a real outbox; `acked` and `woken` record what it told the outside."""

    patience_s = 60.0

    def __init__(self, folder, **changes):
        self.config = make_config(folder, **changes)
        self.identity = make_identity()
        self.clock = ManualClock()
        self.ids = Ids()
        self.open()

    def open(self):
        self.acked, self.woken, self.redelivered = [], [], []
        self.outbox = Outbox(
            self.config.outbox.path,
            self.identity,
            Witness(self.config.outbox.witness_path, b"b" * 36),
            max_bytes=self.config.outbox.max_bytes,
            patience_s=self.patience_s,
            random_bytes=self.ids,
        )
        self.core = Core(
            self.config,
            self.outbox,
            clock=self.clock,
            new_id=lambda: self.ids(16),
            acknowledge=self.acked.append,
            committed=self.woken.append,
            redeliver=lambda: self.redelivered.append(True),
        )

    def kill(self):
        """The process dies: nothing is flushed."""
        self.outbox.close()

    def send(self, topic, payload, **more):
        arrival = Arrival(topic, payload, **more)
        self.core.arrived(arrival)
        return arrival

    def zigbee(self, sensor_id, payload, **more):
        return self.send(sensor_topic(HOME, ZIGBEE, sensor_id), json.dumps(payload).encode(), **more)

    def rich(self, frame):
        return self.send(sensor_topic(HOME, RICH, frame.sensor_id), frame.SerializeToString())

    def pass_time(self, seconds, step=0.5):
        for _ in range(round(seconds / step)):
            self.clock.forward(step)
            self.core.step()

    def sent(self, lane):
        out = []
        with contextlib.suppress(OutboxUnavailable):  # what is in memory comes first
            while batch := self.outbox.take(lane):
                out.append(opened(batch.envelope))
                self.outbox.confirm(batch)
        return out

    def events(self):
        return [event for _, body in self.sent(pb.LANE_URGENT) for event in body.events]

    def told(self):
        return [(event.code, event.qualifier, event.sensor_id) for event in self.events()]

    def arm(self):
        """Settle, arm away, leave."""
        self.pass_time(61)
        self.zigbee("keypad-hall", {"action": "arm_away", "action_code": CODE})
        self.zigbee(DOOR, {"contact": False})
        self.zigbee(DOOR, {"contact": True})
        self.pass_time(61)
        self.events()


class HurriedBench(Bench):
    """Its disk has little time to answer."""

    patience_s = 0.2


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: bench.outbox.close())
        yield bench


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


@pytest.fixture
def refusing(bench, monkeypatch):
    """The disk takes nothing until `undo()`."""

    def refuse(_change):
        raise OutboxUnavailable("disk full")

    monkeypatch.setattr(bench.outbox, "commit", refuse)
    return monkeypatch


STORAGE_FAILS = (Code.STORAGE, NEW, "")
STORAGE_BACK = (Code.STORAGE, RESTORE, "")
PANIC = (Code.PANIC, NEW, "panic-bedroom")


def test_disk_that_refuses_means_no_acknowledgement_and_nothing_is_forgotten(bench, refusing):
    bench.rich(air_frame(START_US))
    bench.pass_time(3)
    assert bench.acked == []
    refusing.undo()
    bench.pass_time(2)
    assert len(bench.acked) == 1
    assert len(bench.outbox.kept_frames()) == 1


def test_event_leaves_at_once_although_the_disk_refuses(bench, refusing):
    bench.zigbee("panic-bedroom", {"action": "panic"})
    bench.core.step()
    assert bench.woken == [pb.LANE_URGENT]
    assert bench.acked == [], "memory is not durable"
    batches = bench.sent(pb.LANE_URGENT)
    assert [body.events[0].code for _, body in batches] == [Code.PANIC, Code.STORAGE]
    assert {header.epoch for header, _ in batches} != {bench.outbox.epoch}
    assert [header.seq for header, _ in batches] == [1, 2]
    start = batches[0][0].epoch_start
    assert (start.reason, start.previous_epoch) == (pb.EPOCH_REASON_EMERGENCY, bench.outbox.epoch)
    refusing.undo()
    bench.pass_time(2)
    assert len(bench.acked) == 1
    assert bench.told() == [STORAGE_BACK], "what was published is not sent again"


def test_event_that_did_not_get_through_from_memory_is_kept_under_the_same_id(bench, refusing):
    bench.zigbee("panic-bedroom", {"action": "panic"})
    bench.core.step()
    refusing.undo()
    bench.pass_time(2)
    events = bench.events()
    assert {(event.code, event.qualifier, event.sensor_id) for event in events} == {
        PANIC, STORAGE_FAILS, STORAGE_BACK,
    }  # fmt: skip
    assert len({event.event_id for event in events}) == 3
    assert len(events) == 5


def test_event_leaves_although_the_disk_hangs(tmp_path):
    """No error, no answer: the hazards of what comes meanwhile are seen, and all of it goes out."""
    with contextlib.ExitStack() as stack:
        bench = HurriedBench(tmp_path)
        stack.callback(lambda: bench.outbox.close())
        answers = threading.Event()
        write = bench.outbox._transaction
        bench.outbox._transaction = lambda work: answers.wait(30) and write(work)
        bench.zigbee("panic-bedroom", {"action": "panic"})
        began_s = time.monotonic()
        bench.core.step()
        bench.zigbee("smoke-kitchen", {"smoke": True})
        bench.pass_time(5)
        assert time.monotonic() - began_s < 5
        told = bench.told()
        assert PANIC in told
        assert (Code.SMOKE, NEW, "smoke-kitchen") in told
        assert bench.acked == []
        answers.set()
        time.sleep(0.5)
        bench.pass_time(5)
        assert len(bench.acked) == 2
        assert STORAGE_BACK in bench.told()


def test_memory_is_bounded_while_the_disk_refuses_and_the_broker_keeps_the_rest(bench, refusing):
    for _ in range(10):
        for minute in range(150):
            bench.rich(motion_frame(START_US - minute * MINUTE))
    bench.zigbee("panic-bedroom", {"action": "panic"})
    bench.core.step()
    assert PANIC in bench.told(), "an event always has room"
    refusing.undo()
    assert bench.redelivered == []
    bench.pass_time(2)
    assert len(bench.acked) == 1_001
    assert bench.redelivered == [True]


def test_gateway_that_starts_without_its_disk_watches_and_then_goes_on_where_it_was(bench):
    bench.arm()
    bench.rich(motion_frame(START_US))
    bench.pass_time(1)
    bench.kill()
    path = bench.config.outbox.path
    path.rename(path.with_name("away"))
    path.mkdir()  # cannot be opened
    bench.open()
    bench.zigbee("smoke-kitchen", {"smoke": True})
    bench.core.step()
    assert bench.told() == [(Code.SMOKE, NEW, "smoke-kitchen"), STORAGE_FAILS]
    path.rmdir()
    path.with_name("away").rename(path)
    bench.pass_time(70)
    assert bench.core.rules.arming.state.mode == "away"
    assert len(bench.acked) == 1
    readings = [r for _, body in bench.sent(pb.LANE_MINUTES) for r in body.readings]
    assert START_US in {r.minute_us for r in readings}
    bench.zigbee("smoke-kitchen", {"smoke": False})
    bench.core.step()
    assert (Code.SMOKE, RESTORE, "smoke-kitchen") in bench.told()


@pytest.mark.parametrize("damage", ["corrupt", "restored"])
def test_damaged_outbox_is_a_trouble_that_an_operator_sees(bench, damage):
    path = bench.config.outbox.path
    bench.pass_time(61)
    bench.kill()
    if damage == "corrupt":
        path.write_bytes(b"garbage" * 1000)
    else:
        copy = path.read_bytes()
        bench.open()
        bench.pass_time(61)
        bench.kill()
        path.write_bytes(copy)
    bench.open()
    bench.pass_time(1)
    assert bench.told() == [STORAGE_FAILS, STORAGE_BACK]
    bench.kill()
    bench.open()
    bench.pass_time(1)
    assert bench.told() == [], "once"


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


def test_break_in_while_away_carries_the_homes_last_minutes(bench):
    bench.arm()
    for second in range(30):
        bench.rich(air_frame(bench.clock.now_us(), temperature_c=20 + second / 10))
        bench.pass_time(1)
    bench.zigbee(WINDOW, {"contact": False})
    bench.core.step()
    [(header, body)] = bench.sent(pb.LANE_URGENT)
    [event] = body.events
    assert (event.code, event.room) == (Code.PERIMETER, "kitchen")
    assert header.arming.mode == pb.ARMING_MODE_AWAY
    assert header.arming.phase == pb.ARMING_PHASE_ABORT_WINDOW
    quantities = {(s.sensor_id, s.quantity) for s in event.series}
    assert {("air-kitchen", "temperature_c"), (WINDOW, "open"), (DOOR, "open")} <= quantities


def test_wrong_code_does_not_disarm_and_the_right_one_cancels(bench):
    bench.arm()
    bench.zigbee(WINDOW, {"contact": False})
    for code in ("0000", "", None):
        bench.zigbee("keypad-hall", {"action": "disarm", "action_code": code})
    bench.core.step()
    assert bench.told() == [(Code.PERIMETER, NEW, WINDOW)]
    bench.zigbee("keypad-hall", {"action": "disarm", "action_code": CODE})
    bench.core.step()
    events = bench.events()
    assert [event.code for event in events] == [Code.CANCEL, Code.PERIMETER, Code.OPEN_CLOSE]
    assert {event.user for event in events} == {"u1"}


def test_duress_code_calls_for_help(bench):
    bench.zigbee("keypad-hall", {"action": "disarm", "action_code": DURESS_CODE})
    bench.core.step()
    assert bench.told() == [(Code.DURESS, NEW, "")]


@pytest.mark.parametrize(
    ("sensor_id", "on", "off", "code"),
    [
        ("smoke-kitchen", {"smoke": True}, {"smoke": False}, Code.SMOKE),
        ("mains", {"mains": False}, {"mains": True}, Code.AC_LOSS),
        ("mains", {"tamper": True}, {"tamper": False}, Code.TAMPER),
        (WINDOW, {"tamper": True}, {"tamper": False}, Code.SENSOR_TAMPER),
        ("mains", {"battery": 10}, {"battery": 90}, Code.LOW_BATTERY),
        (WINDOW, {"battery": 10}, {"battery": 90}, Code.RF_BATTERY),
    ],
    ids=lambda value: "" if isinstance(value, dict) else str(value),
)
def test_condition_is_told_once_and_restored_by_its_id(bench, sensor_id, on, off, code):
    for _ in range(3):
        bench.zigbee(sensor_id, on)
    bench.core.step()
    [opened_event] = bench.events()
    assert (opened_event.code, opened_event.qualifier) == (code, NEW)
    for _ in range(3):
        bench.zigbee(sensor_id, off)
    bench.core.step()
    [restore] = bench.events()
    assert (restore.code, restore.qualifier) == (code, RESTORE)
    assert restore.restores_event_id == opened_event.event_id


def test_retained_panic_is_not_a_panic_but_a_retained_state_counts(bench):
    bench.zigbee("panic-bedroom", {"action": "panic"}, retained=True)
    bench.zigbee("smoke-kitchen", {"smoke": True}, retained=True)
    bench.core.step()
    assert bench.told() == [(Code.SMOKE, NEW, "smoke-kitchen")]


def test_heat_in_the_air_is_an_event_with_its_limit(bench):
    for second in range(200):
        warm = 21 + max(0, second - 100) * 0.5
        bench.rich(air_frame(bench.clock.now_us(), temperature_c=warm))
        bench.pass_time(1, step=1)
    [event] = bench.events()
    assert (event.code, event.qualifier, event.room) == (Code.HEAT, NEW, "kitchen")
    measures = {m.name: (m.value, m.limit) for m in event.measurements}
    assert measures["temperature_rise_c"][0] >= measures["temperature_rise_c"][1] == 8.3


def test_arming_open_alarms_and_dose_survive_a_kill(bench):
    bench.arm()
    for _ in range(300):
        bench.rich(air_frame(bench.clock.now_us(), co_ppm=400))
        bench.pass_time(1, step=1)
    bench.zigbee(WINDOW, {"contact": False})
    bench.core.step()
    [alarm] = bench.events()
    dose = bench.core.rules._air["air-kitchen"].cohb_pct
    assert dose > 3
    bench.kill()
    bench.open()
    assert bench.core.rules.arming.state.mode == "away"
    assert bench.core.rules._air["air-kitchen"].cohb_pct == pytest.approx(dose, abs=0.1)
    bench.zigbee(WINDOW, {"contact": True})
    bench.core.step()
    [restore] = bench.events()
    assert restore.restores_event_id == alarm.event_id


def test_rich_sensor_that_stops_is_missed_and_restored_when_heard(bench):
    bench.rich(motion_frame(START_US))
    bench.pass_time(599, step=1)
    assert bench.told() == []
    bench.pass_time(2, step=1)
    assert bench.told() == [(Code.SUPERVISION, NEW, "motion-hall")]
    bench.rich(motion_frame(bench.clock.now_us()))
    bench.core.step()
    assert bench.told() == [(Code.SUPERVISION, RESTORE, "motion-hall")]


def test_sensor_that_lost_its_clock_is_kept_at_the_gateways_time(bench):
    bench.rich(air_frame(0))
    bench.pass_time(65)
    readings = [r for _, body in bench.sent(pb.LANE_MINUTES) for r in body.readings]
    assert [abs(r.minute_us - START_US) <= MINUTE for r in readings] == [True]


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
    (kept,) = adaptive.outbox.raw_waiting()
    readings = adaptive.outbox.raw_read(kept.number)
    assert (kept.minute_us, len(readings)) == (START_US, 3)
    for reading in readings:
        check_reading(reading)
    assert adaptive.outbox.kept_frames() == []


def test_kept_payloads_survive_a_kill(adaptive):
    one_minute(adaptive)
    adaptive.kill()
    adaptive.open()
    assert len(adaptive.outbox.raw_waiting()) == 1


def test_policy_changes_at_run_time_from_the_next_minute_on(adaptive):
    one_minute(adaptive)
    adaptive.core.uplink = UplinkPolicy.FULL
    one_minute(adaptive)
    adaptive.core.uplink = UplinkPolicy.ADAPTIVE
    one_minute(adaptive)
    kinds = [(len(body.readings), len(body.features)) for _, body in adaptive.sent(pb.LANE_MINUTES)]
    assert kinds == [(0, 3), (3, 0), (0, 3)]
    assert len(adaptive.outbox.raw_waiting()) == 2


def test_after_an_alarm_payloads_travel_live_for_ten_minutes(adaptive):
    adaptive.zigbee("panic-bedroom", {"action": "panic"})
    for _ in range(12):
        one_minute(adaptive)
    live = [bool(body.readings) for _, body in adaptive.sent(pb.LANE_MINUTES)]
    assert live == [True] * 9 + [False] * 3
    assert len(adaptive.outbox.raw_waiting()) == 3


def test_payloads_travel_live_while_somebody_asked_for_them(adaptive):
    adaptive.core.send_payloads(90 * SECOND)
    for _ in range(3):
        one_minute(adaptive)
    assert [bool(body.readings) for _, body in adaptive.sent(pb.LANE_MINUTES)] == [True, False, False]
