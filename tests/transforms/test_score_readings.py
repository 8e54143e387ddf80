"""ScoreReadings: which model sees a reading, and what a bad model or a bare device costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pytest
from apache_beam.ml.inference.base import ModelHandler

from schemas import hearthwatch_v1_pb2 as pb
from schemas.features import input_shape
from schemas.live_features import SUMMARY_NAMES, complete, features_of, quantities
from schemas.models import UNSCORED
from schemas.readings import (
    ACCEL_SHAPE,
    AIR_SHAPE,
    ALL_SECONDS,
    LOG_MEL_SHAPE,
    PIR_SHAPE,
    SECONDS,
    reading_id,
)
from tests.transforms.homes import LABELS, MINUTE0, publish_us
from tests.transforms.runs import run_batch, run_stream
from transforms.elements import AcceptedReading, Score
from transforms.score_readings import (
    BLOCK,
    DEVICE,
    FAMILIES,
    ScoreReadings,
    prepare,
)

KINDS = {
    "motion": pb.SENSOR_KIND_MOTION,
    "sound": pb.SENSOR_KIND_SOUND,
    "air": pb.SENSOR_KIND_AIR,
    "contact": pb.SENSOR_KIND_CONTACT,
}
AIR_ROW = [800.0, 2.0, 120.0, 21.0, 45.0, 1013.0]


class Said(NamedTuple):
    """What a fake model yields, with the fields of serving.handlers.LabelScores."""

    label: str
    score: float
    labels: Sequence[str]
    probabilities: Sequence[float]
    model_version: str


class FakeModel:
    """Beam keeps a weak reference to a model: it must be an object of a class of one's own."""

    def __init__(self, family: str) -> None:
        self.family = family


class FakeHandler(ModelHandler):
    """Says the last class of its family with 0.9 of every input of the right shape.

    Args:
        broken: "raises", or a probability to answer with instead of 0.9.
    """

    def __init__(self, family: str, broken: Any = None) -> None:
        super().__init__()
        self.family = family
        self.broken = broken

    def load_model(self) -> FakeModel:
        return FakeModel(self.family)

    def run_inference(self, batch, model, inference_args=None):
        del inference_args
        if self.broken == "raises":
            raise RuntimeError("the interpreter gave up")
        labels = LABELS[model.family]
        for block in batch:
            assert block.shape == (len(block), *input_shape(model.family))
            top = 0.9 if self.broken is None else self.broken
            rest = [0.1 / (len(labels) - 1)] * (len(labels) - 1)
            said = Said(labels[-1], top, tuple(labels), (*rest, top), f"{model.family}-1")
            yield [said] * len(block)


def handlers(**broken: Any) -> dict[str, FakeHandler]:
    return {family: FakeHandler(family, broken.get(family)) for family in FAMILIES}


def payload(family: str, *, bare: bool) -> dict[str, Any]:
    """A reading's payload; `bare`: of a device that sends no waveform."""
    wave = not bare
    return {
        "motion": pb.MotionPayload(
            occupied=True, pir=np.tile(np.array([-50, 50], "<i2"), PIR_SHAPE[0] // 2).tobytes() * wave
        ),
        "sound": pb.SoundPayload(
            log_mel=bytes(LOG_MEL_SHAPE[0] * LOG_MEL_SHAPE[1]) * wave,
            levels=bytes([60] * (SECONDS - 1) + [120]),
        ),
        "air": pb.AirPayload(samples=np.tile(np.array(AIR_ROW, "<f4"), (AIR_SHAPE[0], 1)).tobytes()),
        "contact": pb.ContactPayload(
            open=True, changes_ms=[100, 900], accel=np.zeros(ACCEL_SHAPE, "<i2").tobytes() * wave
        ),
    }[family]


def accepted(family: str, sensor: str = "", *, bare: bool = False, minute: int = 0) -> AcceptedReading:
    sensor = sensor or f"{family}-1"
    minute_us = (MINUTE0 + minute) * 60_000_000
    reading = pb.Reading(
        reading_id=reading_id("gw-1", sensor, minute_us),
        sensor_id=sensor,
        kind=KINDS[family],
        room="kitchen",
        minute_us=minute_us,
        seconds_present=ALL_SECONDS,
        **{family: payload(family, bare=bare)},
    )
    return AcceptedReading(
        home_id="home-1",
        gateway_id="gw-1",
        batch_id="gw-1.0e.1",
        epoch="0e",
        seq=1,
        reading=reading.SerializeToString(),
        family=family,
        arming_mode="away",
        publish_us=publish_us(minute),
        lane="minutes",
    )


def scores_of(readings, **broken: Any) -> dict[str, Score]:
    """sensor → its score."""
    out = run_batch(readings, lambda r: {"scores": (r | ScoreReadings(handlers(**broken))).scores})["scores"]
    assert len({s.sensor_id for s in out}) == len(out)
    return {s.sensor_id: s for s in out}


def test_every_family_is_scored_by_its_own_model_and_keeps_its_context():
    found = scores_of([accepted(family) for family in FAMILIES])

    assert set(found) == {f"{family}-1" for family in FAMILIES}
    for family in FAMILIES:
        score = found[f"{family}-1"]
        assert (score.label, score.score) == (LABELS[family][-1], 0.9)
        assert score.labels == LABELS[family]
        assert len(score.probabilities) == len(score.labels)
        assert (score.family, score.model_version) == (family, f"{family}-1")
        assert (score.home_id, score.room, score.arming_mode) == ("home-1", "kitchen", "away")
        assert score.reading_id == reading_id("gw-1", f"{family}-1", score.minute_us).hex()
        assert (score.batch_id, score.publish_us) == ("gw-1.0e.1", publish_us(0))


def test_a_block_keeps_readings_and_verdicts_together():
    count = 2 * BLOCK + 5

    found = scores_of([accepted("air", f"air-{n}", minute=n) for n in range(count)])

    assert {name: s.minute_us for name, s in found.items()} == {
        f"air-{n}": (MINUTE0 + n) * 60_000_000 for n in range(count)
    }


def test_a_block_keeps_bare_devices_and_waveforms_apart():
    block = prepare([accepted("motion", f"motion-{n}", bare=n % 3 == 0) for n in range(10)])

    assert [score.sensor_id for score in block.device] == [f"motion-{n}" for n in range(0, 10, 3)]
    assert [score.sensor_id for score in block.blanks] == [f"motion-{n}" for n in range(10) if n % 3]
    assert block.inputs.shape == (6, *input_shape("motion"))


def test_a_reading_that_features_refuse_spoils_no_other_of_its_block():
    good, bad = accepted("air", "air-1"), accepted("air", "air-2")
    bad = bad._replace(
        reading=pb.Reading(sensor_id="air-2", air=pb.AirPayload(samples=b"1")).SerializeToString()
    )

    block = prepare([good, bad, good])

    assert (len(block.blanks), len(block.inputs), block.unscorable) == (2, 2, 1)
    assert prepare([bad]).unscorable == 1


def test_a_stream_is_scored_in_the_bundle_that_brought_it():
    out = run_stream(
        [[accepted("motion"), accepted("air")], [accepted("sound")]],
        lambda r: {"scores": (r | ScoreReadings(handlers())).scores},
    )

    assert sorted(s.sensor_id for s in out["scores"]) == ["air-1", "motion-1", "sound-1"]


def outputs(readings, shadows=None, **broken: Any) -> dict[str, list[Any]]:
    def build(read):
        scored = read | ScoreReadings(handlers(**broken), shadows)
        return {name: pcoll for name, pcoll in scored._asdict().items() if pcoll is not None}

    return run_batch(readings, build)


def test_a_model_that_raises_costs_its_own_scores_and_says_which():
    found = outputs([accepted(family) for family in FAMILIES], sound="raises")

    assert {s.sensor_id for s in found["scores"]} == {"motion-1", "air-1", "contact-1"}
    (failed,) = found["unscored"]
    assert (failed.sensor_id, failed.family, failed.model_version) == ("sound-1", "sound", UNSCORED)
    assert (failed.label, failed.probabilities) == ("", [])


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 1.5])
def test_an_answer_that_is_no_probability_costs_that_score_and_says_which(value):
    found = outputs([accepted("air"), accepted("motion")], air=value)

    assert [s.sensor_id for s in found["scores"]] == ["motion-1"]
    assert [(s.sensor_id, s.model_version) for s in found["unscored"]] == [("air-1", UNSCORED)]


def test_what_speaks_or_might_is_selected_with_what_the_model_saw():
    sounds = [accepted("sound", f"sound-{n}") for n in range(3)]
    labels = LABELS["sound"]
    with mock.patch.dict(LABELS, sound=[*labels[1:], "smoke_alarm"]):
        found = outputs([*sounds, accepted("motion")])

    assert sorted(score.sensor_id for score, _ in found["selected"]) == ["sound-0", "sound-1", "sound-2"]
    for score, seen in found["selected"]:
        assert score in found["scores"]
        assert (seen.dtype, seen.shape) == (np.uint8, LOG_MEL_SHAPE)
    assert outputs(sounds)["selected"] == []  # "quiet" with 0.9


def test_a_version_in_the_shadow_scores_the_same_readings_beside_the_fleet():
    shadow = FakeHandler("air", 0.7)
    found = outputs([accepted("air"), accepted("motion")], {"air": shadow})

    assert [(s.sensor_id, s.score) for s in found["shadows"]] == [("air-1", 0.7)]
    assert {s.sensor_id: s.score for s in found["scores"]} == {"air-1": 0.9, "motion-1": 0.9}


def test_a_shadow_that_raises_costs_nothing_but_its_own_scores():
    found = outputs([accepted("air")], {"air": FakeHandler("air", "raises")})

    assert found["shadows"] == found["unscored"] == []
    assert [s.score for s in found["scores"]] == [0.9]


def test_a_bare_device_speaks_for_itself_and_is_named_so():
    found = scores_of([accepted(f, bare=True) for f in ("motion", "contact", "sound")])

    assert {s.model_version for s in found.values()} == {DEVICE}
    assert (found["motion-1"].label, found["motion-1"].probabilities) == ("occupied", [0.0, 1.0])
    assert (found["contact-1"].label, found["contact-1"].labels) == ("open_close", ["rest", "open_close"])
    assert (found["sound-1"].label, found["sound-1"].probabilities) == ("", [])
    assert found["sound-1"].quantities == [60.0, pytest.approx(30.5)]


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("air", AIR_ROW),
        ("sound", [60.0, 30.5]),
        ("motion", [50.0, 1.0]),
        ("contact", [1.0, 2.0]),
    ],
)
def test_quantities_match_their_names(family, expected):
    reading = pb.Reading.FromString(accepted(family).reading)

    assert quantities(family, reading) == pytest.approx(expected)
    assert len(expected) == len(SUMMARY_NAMES[family])


def test_a_waveform_that_was_not_sent_has_no_energy():
    energy, occupied = quantities("motion", pb.Reading.FromString(accepted("motion", bare=True).reading))

    assert math.isnan(energy)
    assert occupied == 1.0


def test_a_family_without_a_model_is_refused_when_the_job_is_built():
    with pytest.raises(ValueError, match="no model handler for \\['air'\\]"):
        ScoreReadings({family: FakeHandler(family) for family in FAMILIES if family != "air"})


def as_features(element: AcceptedReading, *, with_log_mel: bool = True) -> AcceptedReading:
    """The same reading as the adaptive uplink sends it."""
    reading = pb.Reading.FromString(element.reading)
    made = features_of(reading, element.gateway_id, with_log_mel=with_log_mel)
    made = complete(made, element.gateway_id, pb.Body(features_minute_us=reading.minute_us))
    return element._replace(reading=b"", features=made.SerializeToString())


@pytest.mark.parametrize("family", FAMILIES)
def test_features_and_payloads_share_a_block_and_a_model_cannot_tell_them_apart(family):
    whole, light = accepted(family, "a"), as_features(accepted(family, "a"))
    other = accepted(family, "b")
    block, alone = prepare([light, other]), prepare([whole])
    assert block.inputs.shape == (2, *input_shape(family))
    assert {score.sensor_id for score in block.blanks} == {"a", "b"}
    place = [score.sensor_id for score in block.blanks].index("a")
    most = 16 if family == "sound" else 1 / 64 + 1e-6
    assert np.abs(block.inputs[place].astype(float) - alone.inputs[0]).max() <= most
    score, exact = block.blanks[place], alone.blanks[0]
    assert score._replace(quantities=[]) == exact._replace(quantities=[])
    assert score.quantities == pytest.approx(exact.quantities, abs=0.51)


@pytest.mark.parametrize("family", ["motion", "contact"])
def test_a_device_without_waveform_says_the_same_as_features(family):
    whole = accepted(family, "a", bare=True)
    (said,), (exact,) = prepare([as_features(whole)]).device, prepare([whole]).device
    assert (said.label, said.score, said.model_version) == (exact.label, 1.0, DEVICE)


def test_a_sound_whose_log_mel_stayed_at_home_has_levels_and_no_verdict():
    block = prepare([as_features(accepted("sound"), with_log_mel=False)])
    assert block.blanks == []
    (said,) = block.device
    assert (said.label, said.probabilities, said.quantities[0]) == ("", [], 60.0)
