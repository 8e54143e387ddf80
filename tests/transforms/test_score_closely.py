"""ScoreClosely: what a large model says takes the small one's place, and no model, no harm."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from apache_beam.ml.inference.base import ModelHandler

from schemas.readings import LOG_MEL_SHAPE
from serving.handlers import CloseModelHandler
from serving.live import PACKAGED
from tests.transforms.homes import publish_us, score
from tests.transforms.runs import run_batch, run_stream
from tests.transforms.test_score_readings import FakeModel, Said
from transforms.elements import Score
from transforms.score_closely import WAIT_S, ScoreClosely, selects

LABELS = ("dog", "smoke_alarm")


class CloseSaid(NamedTuple):
    """A `CloseVerdict`."""

    fleet: Said
    shadow: Said


class LargeHandler(ModelHandler):
    """Says "smoke_alarm" with the mean of its input, `shadow` for the version in the shadow."""

    def __init__(self, wait_s: float | None, answer: Any = None, shadow: Any = ()) -> None:
        super().__init__()
        self.shadow = shadow
        self.wait_s = wait_s
        self.answer = answer

    def load_model(self) -> FakeModel:
        return FakeModel("sound")

    def run_inference(self, batch, model, inference_args=None):
        del model, inference_args
        if self.answer == "raises":
            raise RuntimeError("out of memory")
        for seen in batch:
            p = seen.mean() / 255
            said = (1 - p, p) if self.answer is None else self.answer
            fleet = Said("", 0.0, LABELS[: len(said)], said, "sound_large-1")
            yield CloseSaid(fleet, Said("", 0.0, LABELS[: len(self.shadow)], self.shadow, "sound_large-2"))

    def batch_elements_kwargs(self):
        wait = {} if self.wait_s is None else {"max_batch_duration_secs": self.wait_s}
        return {"min_batch_size": 1, "max_batch_size": 4, **wait}


def selected(count: int) -> list[tuple[Score, np.ndarray]]:
    return [
        (score("sound-kitchen", n, "dog", 0.6), np.full(LOG_MEL_SHAPE, 25 * n, np.uint8))
        for n in range(count)
    ]


def closely(answer: Any = None, shadow: Any = ()):  # type: ignore[no-untyped-def]
    handler = partial(LargeHandler, answer=answer, shadow=shadow)
    return lambda read: (read | ScoreClosely(handler))._asdict()


def test_a_close_score_is_of_the_same_reading_by_the_large_model():
    found = sorted(run_batch(selected(9), closely())["scores"], key=lambda s: s.minute_us)

    assert [round(s.probabilities[1], 4) for s in found] == [round(25 * n / 255, 4) for n in range(9)]
    for (small, _), close in zip(selected(9), found, strict=True):
        kept = close._replace(
            label=small.label,
            score=small.score,
            labels=small.labels,
            probabilities=small.probabilities,
            model_version="sound-1",
        )
        assert kept == small
        assert close.model_version == "sound_large-1"


class _Selected(tuple):
    """An element that has a publish time, as `run_stream` wants it."""

    publish_us = publish_us(9)


def test_a_stream_is_batched_over_its_bundles_and_no_longer_than_told():
    bundles = [[_Selected(one)] for one in selected(6)]
    waits: list[Any] = []

    def build(read):  # type: ignore[no-untyped-def]
        def handler(wait_s):  # type: ignore[no-untyped-def]
            waits.append(wait_s)
            return LargeHandler(wait_s)

        return (read | ScoreClosely(handler))._asdict()

    found = run_stream(bundles, build)["scores"]
    assert waits == [WAIT_S]
    assert WAIT_S <= 0.2
    assert sorted(round(s.probabilities[1], 4) for s in found) == [round(25 * n / 255, 4) for n in range(6)]


@pytest.mark.parametrize("answer", [None, (), (float("nan"), 0.0)], ids=["both", "shadow alone", "no number"])
def test_what_a_version_in_the_shadow_says_goes_its_own_way(answer):
    out = run_batch(selected(3), closely(answer, shadow=(0.25, 0.75)))
    assert [one.model_version for one in out["scores"]] == (["sound_large-1"] * 3 if answer is None else [])
    assert {(one.model_version, one.label) for one in out["shadows"]} == {("sound_large-2", "smoke_alarm")}
    assert sorted(one.reading_id for one in out["shadows"]) == sorted(
        one.reading_id for one, _ in selected(3)
    )


def test_the_shipped_large_model_says_which_it_is_and_none_is_in_the_shadow():
    def build(read):  # type: ignore[no-untyped-def]
        return (read | ScoreClosely(partial(CloseModelHandler, "sound", PACKAGED)))._asdict()

    out = run_batch(selected(3), build)
    assert [one.model_version.rpartition("-")[0] for one in out["scores"]] == ["sound_large"] * 3
    assert out["shadows"] == []


@pytest.mark.parametrize(
    "answer", ["raises", (), (float("nan"), 0.0)], ids=["raises", "no large model", "no number"]
)
def test_without_an_answer_the_small_score_stands_alone(answer):
    assert run_batch(selected(3), closely(answer))["scores"] == []


@pytest.mark.parametrize(
    ("probabilities", "wanted"),
    [
        ({"quiet": 0.99, "smoke_alarm": 0.01}, False),
        ({"dog": 0.45, "household": 0.5, "siren": 0.05}, False),
        ({"quiet": 0.1, "glass_break": 0.9}, True),
        ({"household": 0.84, "glass_break": 0.08, "fire_crackling": 0.08}, True),
    ],
    ids=["sure that it is nothing", "unsure of what does not matter", "speaks", "unsure of what matters"],
)
def test_what_speaks_for_an_alarm_or_might_is_selected(probabilities, wanted):
    assert selects("sound", list(probabilities), list(probabilities.values())) is wanted


def test_a_gpu_is_asked_for_where_the_large_model_runs_and_nowhere_else():
    import apache_beam as beam

    def hints(accelerator: str) -> dict[str, set[str]]:
        pipeline = beam.Pipeline()
        read = pipeline | "Make" >> beam.Create(selected(1))
        _ = read | "ScoreClosely" >> ScoreClosely(LargeHandler, accelerator)
        proto = pipeline.to_runner_api()
        found: dict[str, set[str]] = {}
        for transform in proto.components.transforms.values():
            environment = proto.components.environments.get(transform.environment_id)
            for urn, value in (environment.resource_hints if environment else {}).items():
                found.setdefault(urn.split(":")[-2], set()).add(f"{transform.unique_name}={value.decode()}")
        return found

    assert hints("") == {}
    asked = hints("type:nvidia-l4;count:1;install-nvidia-driver")
    assert set(asked) == {"accelerator", "min_ram_bytes"}
    assert all(name.startswith("ScoreClosely/ScoreLarge") for name in asked["accelerator"])
