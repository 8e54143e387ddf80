"""The training table: which minutes a label speaks of, what is kept, and each reading once."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from schemas import hearthwatch_v1_pb2 as pb
from schemas.alarms import CloseOutCode
from schemas.events import AlarmKind
from schemas.features import FEATURE_NAMES, model_input
from schemas.labels import Label, LabelSource
from schemas.live_features import complete, features_of
from schemas.readings import MINUTE_US
from schemas.warehouse import TRAINING_READINGS
from tests.archives import minute_message
from tests.fakes import NOW_US, SENSORS, Fleet, reading
from transforms.decode_batches import decode
from transforms.elements import AcceptedReading
from transforms.training_rows import Labels, sampled, span_of, training_row
from transforms.trust import Trust
from transforms.warehouse_loads import merge_sql
from transforms.write_training import merge_rows


def label(
    close_out: CloseOutCode = CloseOutCode.REAL,
    *,
    at_min: float = 0,
    lasted_min: float = 1,
    name: str = "a",
    **more: Any,
) -> Label:
    from_us = NOW_US + int(at_min * MINUTE_US)
    fields = {"kind": AlarmKind.FIRE, "code": 110, "closed_us": from_us + 3_600_000_000, **more}
    return Label(
        alarm_id=name,
        home_id="home-0001",
        close_out=close_out,
        from_us=from_us,
        to_us=from_us + int(lasted_min * MINUTE_US),
        **fields,
    )


def minutes(labels: Labels, home: str = "home-0001") -> list[int]:
    return [m for m in range(-60, 60) if labels.of(home, NOW_US + m * MINUTE_US)]


def accepted(sensor: int, minute: int = 0) -> AcceptedReading:
    made = reading(*SENSORS[sensor], NOW_US + minute * MINUTE_US, np.random.default_rng(1))
    return AcceptedReading(
        home_id="home-0001",
        gateway_id="gw-0001",
        batch_id="gw-0001.00.1",
        epoch="00",
        seq=1,
        reading=made.SerializeToString(),
        family=("motion", "sound", "air", "contact")[(0, 0, 0, 1, 1, 2, 2, 3, 3, 3)[sensor]],
        arming_mode="away",
        publish_us=NOW_US + MINUTE_US,
        lane="minutes",
    )


@pytest.mark.parametrize(
    ("lasted_min", "first", "last"),
    [(0, -5, 4), (1, -5, 4), (12, -5, 11), (500, -5, 29)],
    ids=["a moment", "a minute", "twelve minutes", "for ever"],
)
def test_a_label_speaks_of_five_minutes_before_until_its_end_within_bounds(
    lasted_min: float, first: int, last: int
) -> None:
    assert minutes(Labels([span_of(label(lasted_min=lasted_min))])) == list(range(first, last + 1))


def test_unknown_labels_nothing_and_no_label_speaks_of_another_home() -> None:
    assert span_of(label(CloseOutCode.UNKNOWN)) is None
    assert minutes(Labels([span_of(label())]), "home-0002") == []


def test_real_goes_before_false_and_false_before_test_then_the_nearest() -> None:
    spans = [
        span_of(label(CloseOutCode.TEST, name="test")),
        span_of(label(CloseOutCode.FALSE_PET, at_min=2, name="pet")),
        span_of(label(CloseOutCode.FALSE_SENSOR, at_min=-2, name="sensor")),
        span_of(label(CloseOutCode.REAL, at_min=8, name="real")),
    ]
    for some in (spans, spans[::-1]):
        labels = Labels(some)
        assert [labels.of("home-0001", NOW_US + m * MINUTE_US).alarm_id for m in (-6, -1, 2, 5)] == [
            "sensor",
            "sensor",
            "pet",
            "real",
        ]


@pytest.mark.parametrize("sensor", range(10))
def test_a_row_has_every_column_and_the_features_of_its_family(sensor: int) -> None:
    row = training_row(accepted(sensor), Labels([]), 0.0)
    assert list(row) == [field["name"] for field in TRAINING_READINGS.fields]
    expected = 0 if row["family"] == "sound" else len(FEATURE_NAMES[row["family"]])
    assert len(row["features"]) == expected
    assert (row["selection"], row["payload"], row["close_out"]) == ("", None, None)


def test_the_payload_is_kept_where_it_is_labelled_or_drawn() -> None:
    one = accepted(5)
    labelled = training_row(one, Labels([span_of(label())]), 0.0)
    assert (labelled["selection"], labelled["close_out"], labelled["alarm_kind"]) == (
        "labelled",
        "real",
        "fire",
    )
    assert base64.b64decode(labelled["payload"]) == one.reading
    assert training_row(one, Labels([]), 1.0)["selection"] == "sample"


def test_the_sample_is_about_its_share_and_always_the_same() -> None:
    ids = [number.to_bytes(16, "big") for number in range(20_000)]
    drawn = [one for one in ids if sampled(one, 0.01)]
    assert 150 < len(drawn) < 250
    assert drawn == [one for one in ids if sampled(one, 0.01)]


def test_a_reading_that_came_twice_is_one_row_and_a_late_label_changes_it() -> None:
    plain = training_row(accepted(5), Labels([]), 0.0)
    labelled = training_row(accepted(5), Labels([span_of(label())]), 0.0)
    other = training_row(accepted(6), Labels([]), 0.0)
    assert merge_rows([plain, other], [labelled], [plain]) == merge_rows([labelled, other])
    assert len(merge_rows([plain], [plain])) == 1


def test_live_features_give_a_row_that_the_payload_replaces_whatever_the_order() -> None:
    exact = accepted(5)
    made = features_of(pb.Reading.FromString(exact.reading), "gw-0001", with_log_mel=False)
    sent = complete(made, "gw-0001", pb.Body(features_minute_us=NOW_US))
    live = training_row(exact._replace(reading=b"", features=sent.SerializeToString()), Labels([]), 1.0)
    whole = training_row(exact, Labels([]), 0.0)

    assert (live["form"], live["selection"], live["payload"]) == ("live", "", None)
    assert live["reading_id"] == whole["reading_id"]
    assert live["features"] == pytest.approx(whole["features"], abs=1 / 32)
    assert merge_rows([live], [whole]) == merge_rows([whole], [live]) == [whole]


def test_rows_are_taken_over_by_reading_and_partition() -> None:
    sql = merge_sql("home", TRAINING_READINGS, "incoming")
    assert (
        "ON T.home_id = S.home_id AND T.reading_id = S.reading_id AND T.minute_time = S.minute_time\n" in sql
    )
    assert "payload = S.payload" in sql


def test_a_batch_of_the_archive_gives_rows_of_its_readings() -> None:
    fleet = Fleet(5)
    message = minute_message(fleet.gateway(1), 1)
    (only,) = decode(message, Trust(fleet.ca)).readings
    row = training_row(only, Labels([]), 0.0)
    assert (row["home_id"], row["family"], row["minute_time"]) == (
        "home-0001",
        "contact",
        "2026-03-01T12:01:00.000000Z",
    )
    assert pb.Reading.FromString(only.reading).reading_id.hex() == row["reading_id"]


def test_a_dispatcher_goes_before_an_owner_and_what_was_real_before_both() -> None:
    owner = span_of(label(CloseOutCode.FALSE_USER, name="own", source=LabelSource.OWNER))
    console = span_of(label(CloseOutCode.FALSE_PET, at_min=1, name="console"))
    real = span_of(label(CloseOutCode.REAL, name="real", source=LabelSource.OWNER))
    assert Labels([owner, console]).of("home-0001", NOW_US).alarm_id == "console"
    assert Labels([owner, console, real]).of("home-0001", NOW_US).alarm_id == "real"


def test_a_test_speaks_of_its_own_time_only_and_teaches_nothing() -> None:
    test = label(CloseOutCode.TEST, lasted_min=120, name="", source=LabelSource.TEST_MODE, kind=None)
    assert minutes(Labels([span_of(test)])) == list(range(60))  # of 120: `minutes` looks an hour ahead
    row = training_row(accepted(5), Labels([span_of(test)]), 1.0)
    assert (row["close_out"], row["label"], row["label_weight"]) == ("test", None, None)
    assert row["selection"] == "labelled"  # it must not come back as a drawn "normal" minute


@pytest.mark.parametrize(
    ("minute", "room", "taught"),
    [(0, "kitchen", "fire"), (-1, "kitchen", None), (0, "bedroom", None)],
    ids=["its room", "before it began", "another room"],
)
def test_a_fire_teaches_fire_only_where_and_when_it_was(minute: int, room: str, taught: str | None) -> None:
    said = Labels([span_of(label(room=room))])
    row = training_row(accepted(5, minute), said, 0.0)
    assert pb.Reading.FromString(accepted(5).reading).room == "kitchen"
    assert row["close_out"] == "real"
    expected = (taught, "dispatcher", 1.0, "2026-03-01T13:00:00.000000Z") if taught else (None,) * 4
    assert tuple(row[f"label{part}"] for part in ("", "_source", "_weight", "_time")) == expected


def test_a_drawn_minute_of_air_is_weakly_normal_and_of_other_families_unknown() -> None:
    air, motion = (training_row(accepted(sensor), Labels([]), 1.0) for sensor in (5, 0))
    assert (air["label"], air["label_source"], air["label_weight"]) == ("normal", "sample", 0.2)
    assert (motion["selection"], motion["label"]) == ("sample", None)


@pytest.mark.parametrize("sensor", [0, 5, 7])
def test_features_pass_through_json_without_losing_a_bit(sensor: int) -> None:
    one = accepted(sensor)
    row = json.loads(json.dumps(training_row(one, Labels([]), 0.0)))
    expected = model_input(one.family, pb.Reading.FromString(one.reading))
    assert np.array(row["features"], np.float32).tobytes() == expected.tobytes()
