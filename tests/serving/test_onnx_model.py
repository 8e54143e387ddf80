"""ONNX weights: the same verdicts as the LiteRT file that they were made of, in the worker's own handler."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from local.training.to_onnx import as_onnx
from serving import cards
from serving.cards import ModelCard, ModelRefused
from serving.handlers import ReadingModelHandler
from serving.interpreter import open_card, open_model
from serving.live import ModelSource
from serving.onnx_model import OnnxModel
from tests.serving.models import KeptRegistry, shipped

BLOCK = np.random.default_rng(1).integers(0, 256, (70, 160, 64), dtype=np.uint8)


@pytest.fixture(scope="module")
def converted() -> tuple[ModelCard, bytes]:
    return as_onnx(*shipped("sound"), "7")


def test_a_converted_version_says_what_its_source_said(converted, tmp_path: Path) -> None:
    card, weights = converted
    assert (card.model_version, card.weights, card.lineage.compared_with) == (
        "sound-7",
        "sound-7.onnx",
        "sound-1",
    )
    assert card.parity <= cards.MAX_PARITY
    path = tmp_path / card.weights
    path.write_bytes(weights)
    model = open_model(card, path)
    assert isinstance(model, OnnxModel)
    assert model.provider == "CPUExecutionProvider"
    expected = open_card(cards.find("sound")).probabilities(BLOCK)
    assert np.abs(model.probabilities(BLOCK) - expected).max() < 1e-5
    assert model.probabilities(BLOCK[:0]).shape == (0, len(card.classes))
    with pytest.raises(ValueError, match=r"uint8\[3\], limit uint8\[160, 64\]"):
        model.probabilities(np.zeros((2, 3), np.uint8))


def test_a_worker_serves_onnx_and_litert_versions_in_turn(converted, tmp_path: Path) -> None:
    registry = KeptRegistry(tmp_path / "registry")
    registry.add("1", "sound")
    registry.publish(*converted, registry.signer, by="test")
    for state in ("shadow", "fleet"):
        registry.move("sound-7", state, registry.signer, by="test")
    source = ModelSource(
        registry=str(tmp_path / "registry"),
        trusted_pem=registry.signer.public_pem,
        cache=str(tmp_path / "cache"),
    )
    handler = ReadingModelHandler("sound", source)
    model = handler.load_model()
    (first,) = handler.run_inference([BLOCK[:2]], model)
    registry.rollback("sound", registry.signer, by="test")
    model.refresh()
    (second,) = handler.run_inference([BLOCK[:2]], model)
    assert [first[0].model_version, second[0].model_version] == ["sound-7", "sound-1"]
    assert first[0].probabilities == pytest.approx(second[0].probabilities, abs=1e-5)


def test_onnx_that_is_none_is_refused(converted, tmp_path: Path) -> None:
    card, _ = converted
    path = tmp_path / card.weights
    path.write_bytes(b"no protobuf of a model")
    with pytest.raises(ModelRefused, match=r"sound-7\.onnx does not run"):
        open_model(card, path)
