"""RunInference scores readings as LiteRT itself does, in order, once loaded."""

import threading

import apache_beam as beam
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from apache_beam.ml.inference.base import RunInference
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that

from schemas.features import input_shape
from serving import cards
from serving.handlers import LabelScores, ReadingModelHandler, label_scores
from serving.interpreter import LiteRtModel

FAMILIES = ("sound", "motion", "air", "contact")


def _inputs(family: str, count: int, seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = (count, *input_shape(family))
    if family == "sound":
        return list(rng.integers(0, 256, shape, dtype=np.uint8))
    return list(rng.normal(1, 1, shape).astype(np.float32))


def _direct(family: str, inputs: list[np.ndarray]) -> np.ndarray:
    """What LiteRT says of one example at a time, without any code of ours."""
    interpreter = Interpreter(model_content=cards.load(cards.find(family))[1], num_threads=1)
    interpreter.allocate_tensors()
    rows = []
    for example in inputs:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], example[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    return np.array(rows)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_handler_says_what_litert_says(family):
    inputs = _inputs(family, 11)
    handler = ReadingModelHandler(family)
    model = handler.load_model()
    card = model.current.card
    (scores,) = handler.run_inference([np.stack(inputs)], model)
    expected = _direct(family, inputs)
    assert np.abs(np.array([s.probabilities for s in scores]) - expected).max() < 1e-5
    assert [s.label for s in scores] == [card.classes[i] for i in expected.argmax(axis=1)]
    assert [s.score for s in scores] == pytest.approx(expected.max(axis=1).tolist(), abs=1e-5)
    assert {s.model_version for s in scores} == {f"{family}-{card.version}"}


def test_run_inference_scores_every_reading_of_a_bundle():
    inputs = _inputs("air", 70)
    expected = sorted(round(float(row.max()), 4) for row in _direct("air", inputs))

    def all_scored(blocks: list[list[LabelScores]]) -> None:
        assert sorted(len(block) for block in blocks) == [6, 64]
        found = sorted(round(s.score, 4) for block in blocks for s in block)
        assert found == pytest.approx(expected, abs=2e-4)

    with TestPipeline() as pipeline:
        blocks = pipeline | "Make" >> beam.Create([np.stack(inputs[:64]), np.stack(inputs[64:])])
        scores = blocks | "Score" >> RunInference(ReadingModelHandler("air"))
        assert_that(scores, all_scored, label="AllScored")


class _PartlyNan(LiteRtModel):
    """A model whose output is not a number for the second example."""

    def probabilities(self, batch):
        rows = super().probabilities(batch)
        rows[1] = np.nan
        return rows


def test_an_output_that_is_no_number_is_absent_and_spares_its_neighbours():
    inputs = np.stack(_inputs("motion", 4))
    path = cards.find("motion")
    model = _PartlyNan(cards.read_card(path), path.with_suffix(".tflite"))
    scores = label_scores(model, inputs)
    assert scores[1] == LabelScores("", 0.0, model.card.classes, (), model.card.model_version)
    expected = _direct("motion", list(inputs))
    for index in (0, 2, 3):
        assert scores[index].probabilities == pytest.approx(expected[index].tolist(), abs=1e-5)


def test_a_nan_input_does_not_poison_its_batch():
    inputs = _inputs("motion", 4)
    inputs[1][:] = np.nan
    handler = ReadingModelHandler("motion")
    (scores,) = handler.run_inference([np.stack(inputs)], handler.load_model())
    expected = _direct("motion", [inputs[index] for index in (0, 2, 3)])
    for row, index in enumerate((0, 2, 3)):
        assert scores[index].probabilities == pytest.approx(expected[row].tolist(), abs=1e-5)


def test_threads_share_a_model_without_mixing_their_answers():
    model = ReadingModelHandler("contact").load_model().current
    batches = [np.stack(_inputs("contact", 9, seed)) for seed in range(4)]
    expected = [model.probabilities(batch) for batch in batches]
    wrong: list[int] = []

    def score(index: int) -> None:
        for _ in range(100):
            if not np.array_equal(model.probabilities(batches[index]), expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=score, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_another_shape_is_refused_with_both_shapes():
    model = ReadingModelHandler("air").load_model().current
    with pytest.raises(ValueError, match=r"float32\[3\], limit float32\[24\]"):
        model.probabilities(np.zeros((2, 3), np.float32))


def test_a_block_is_a_batch_so_that_nothing_is_batched_again():
    handler = ReadingModelHandler("sound")
    assert handler.batch_elements_kwargs() == {"min_batch_size": 1, "max_batch_size": 1}
    assert handler.get_num_bytes([np.stack(_inputs("sound", 3))]) == 3 * 160 * 64
