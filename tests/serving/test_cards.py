"""Weights are loaded as their card describes them, and everything else is refused, saying why."""

import hashlib
import json
import shutil

import numpy as np
import pytest

from schemas.features import FEATURE_VERSION, input_shape
from serving import cards
from serving.cards import ModelRefused
from serving.interpreter import MAX_BATCH, open_card

FAMILIES = ("sound", "motion", "air", "contact")


@pytest.fixture
def folder(tmp_path):
    """A copy of the shipped contact model."""
    card = cards.find("contact")
    shutil.copy(card, tmp_path)
    shutil.copy(card.with_suffix(".tflite"), tmp_path)
    return tmp_path


def _edit(folder, **changes):
    path = cards.find("contact", folder)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


@pytest.mark.parametrize("family", FAMILIES)
def test_the_shipped_weights_are_those_of_their_card(family):
    card, weights = cards.load(cards.find(family))
    assert hashlib.sha256(weights).hexdigest() == card.weights_sha256
    assert len(weights) == card.weights_bytes < cards.MAX_WEIGHTS_BYTES
    assert card.feature_version == FEATURE_VERSION
    assert card.input_shape == input_shape(family)
    assert card.parity <= cards.MAX_PARITY


@pytest.mark.parametrize("family", FAMILIES)
def test_a_card_says_data_licence_limits_and_figures_with_intervals(family):
    card = cards.read_card(cards.find(family))
    assert {source.use for source in card.data} == {"trained", "tested"}
    assert all(source.licence for source in card.data)
    assert card.limits
    assert card.intended_use
    assert all(figure.low <= figure.value <= figure.high for figure in card.figures)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_weights_were_trained_on_data_without_a_grant(family):
    card = cards.read_card(cards.find(family))
    trained = " ".join(source.name.lower() for source in card.data if source.use == "trained")
    for corpus in ("sesa", "uci_adl", "uci_elder", "fold 5", "odd files", "delco", "sdc35", "sdc39"):
        assert corpus not in trained


def test_a_flipped_byte_is_refused_with_both_digests(folder):
    weights = folder / "contact-1.tflite"
    corrupt = bytearray(weights.read_bytes())
    corrupt[len(corrupt) // 2] ^= 1
    weights.write_bytes(corrupt)
    with pytest.raises(ModelRefused, match=r"has SHA-256 .*its card says"):
        cards.load(cards.find("contact", folder))


def test_missing_weights_are_refused(folder):
    (folder / "contact-1.tflite").unlink()
    with pytest.raises(ModelRefused, match=r"contact-1.tflite is missing"):
        cards.load(cards.find("contact", folder))


def test_a_missing_card_is_refused(folder):
    with pytest.raises(ModelRefused, match=r"contact-9.json is missing"):
        cards.load(folder / "contact-9.json")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"feature_version": 99}, "wants features 99"),
        ({"input_shape": [3]}, r"wants input \(3,\)"),
        ({"version": "7", "weights": "contact-7.tflite"}, "holds the card of contact-7"),
        ({"weights": "../contact-1.tflite"}, "weights is '../contact-1.tflite'"),
        ({"tier": "large"}, "weights is 'contact-1.tflite', wanted one of .'contact_large-1.tflite'"),
        ({"weights_bytes": 2_000_000}, "weights_bytes is 2000000, limit of a small 1000000"),
        ({"data_from_us": 5, "data_to_us": 4}, "data_to_us is 4, before data_from_us 5"),
        ({"parity": 0.5}, "parity"),
        ({"surprise": 1}, "surprise"),
        ({"classes": ["one"]}, "classes"),
    ],
    ids=[
        "feature version",
        "shape",
        "name",
        "path",
        "tier",
        "size",
        "span",
        "parity",
        "unknown field",
        "classes",
    ],
)
def test_a_card_that_does_not_fit_is_refused(folder, changes, said):
    with pytest.raises(ModelRefused, match=said):
        cards.load(_edit(folder, **changes))


def test_a_card_that_is_no_json_is_refused(folder):
    cards.find("contact", folder).write_bytes(b"\x00garbage")
    with pytest.raises(ModelRefused, match="is no model card"):
        cards.load(cards.find("contact", folder))


def test_the_newest_version_is_found_by_number_not_by_spelling(folder):
    for version in ("2", "10"):
        (folder / f"contact-{version}.json").write_text("{}")
    assert cards.find("contact", folder).stem == "contact-10"


def test_an_unknown_family_says_how_to_get_models(folder):
    with pytest.raises(ModelRefused, match="make models"):
        cards.find("sound", folder)


def test_probabilities_of_any_batch_size_equal_those_of_single_examples():
    model = open_card(cards.find("contact"))
    batch = np.random.default_rng(1).normal(1, 1, (MAX_BATCH + 13, 10)).astype(np.float32)
    together = model.probabilities(batch)
    alone = np.concatenate([model.probabilities(row[None]) for row in batch])
    assert together.shape == (MAX_BATCH + 13, 4)
    assert np.abs(together - alone).max() < 1e-5
    assert together.sum(axis=1) == pytest.approx(1, abs=1e-5)
