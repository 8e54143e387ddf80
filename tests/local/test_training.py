"""Conversion is checked against the net, and figures carry their intervals."""

import keras
import numpy as np
import pytest

from local.training import convert, measure, nets
from local.training.examples import Examples
from pipelines.training import intervals
from serving.cards import MAX_PARITY


@pytest.fixture(scope="module")
def learnt():
    """A small net that tells positive from negative numbers."""
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    inputs = rng.normal(0, 1, (400, 3)).astype(np.float32)
    examples = Examples(inputs, (inputs[:, 0] > 0).astype(np.intp))
    net = nets.dense_net(examples.inputs, 2)
    nets.fit(net, examples, epochs=5, seed=1)
    return net, examples


def test_converted_weights_compute_what_the_net_computes(learnt):
    net, examples = learnt
    weights, parity = convert.convert(net, examples.inputs[:50])
    assert parity <= MAX_PARITY
    assert len(weights) > 1000
    predicted = net.predict(examples.inputs, verbose=0).argmax(axis=1)
    assert (predicted == examples.labels).mean() > 0.9


def test_a_conversion_that_differs_is_refused(learnt, monkeypatch):
    net, examples = learnt
    for wrong in (np.nan, 0.3):
        answer = np.full((4, 2), wrong)
        monkeypatch.setattr(convert, "_run", lambda _weights, _batch, answer=answer: answer)
        with pytest.raises(ArithmeticError, match="differs by"):
            convert.convert(net, examples.inputs[:4])


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(0, 30, 0.0, 0.114), (30, 30, 0.886, 1.0), (45, 90, 0.399, 0.601)],
    ids=["none", "all", "half"],
)
def test_wilson_intervals(hits, n, low, high):
    assert intervals.wilson(hits, n) == pytest.approx((low, high), abs=0.001)


def test_recall_is_counted_by_class():
    examples = Examples(np.zeros((4, 1)), np.array([0, 0, 1, 1]))
    figures = measure.by_class(np.array([0, 1, 1, 1]), examples, ("a", "b", "c"), "synthetic", "test")
    assert {f.name: (f.value, f.n) for f in figures} == {
        "accuracy": (0.75, 4),
        "recall of a": (0.5, 2),
        "recall of b": (1.0, 2),
    }


def test_a_temperature_makes_overconfident_probabilities_honest():
    rng = np.random.default_rng(2)
    true = rng.uniform(0.5, 0.95, 4000)  # how often the first class is right
    labels = (rng.uniform(size=true.size) > true).astype(np.intp)
    logits = np.log(true / (1 - true)) * 2.0  # twice too sure
    said = np.stack([1 / (1 + np.exp(-logits)), 1 / (1 + np.exp(logits))], axis=1)
    assert nets.temperature(said, labels) == pytest.approx(2.0, rel=0.15)


def test_cooling_divides_the_logits_and_keeps_the_order(learnt):
    net, examples = learnt
    hot = keras.models.clone_model(net)
    hot.set_weights(net.get_weights())
    hot.layers[1].finalize_state()
    before = nets.probabilities(hot, examples.inputs[:50])
    nets.cool(hot, 2.0)
    after = nets.probabilities(hot, examples.inputs[:50])
    odds = np.log(before[:, 1] / before[:, 0])
    assert np.log(after[:, 1] / after[:, 0]) == pytest.approx(odds / 2, rel=1e-3, abs=1e-3)


def test_a_head_on_a_trunk_answers_as_one_net():
    trunk_input = keras.Input((4,))
    trunk = keras.Model(trunk_input, keras.ops.concatenate([trunk_input, -trunk_input], axis=1))
    inputs = np.random.default_rng(3).normal(size=(6, 4)).astype(np.float32)
    features = nets.probabilities(trunk, inputs)
    top = nets.head(features, 3)
    whole = nets.probabilities(nets.joined(trunk, top), inputs)
    assert whole == pytest.approx(nets.probabilities(top, features), abs=1e-6)
    assert whole.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
