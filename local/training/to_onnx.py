"""LiteRT weights → ONNX, which also runs on a GPU; checked for parity. Needs TensorFlow, by tf2onnx."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np

from serving.cards import MAX_PARITY, ModelCard
from serving.interpreter import LiteRtModel
from serving.onnx_model import OnnxModel

_PROBES = 64
OPSET = 18


def convert(weights: Path, out: Path) -> None:
    """A .tflite file → an .onnx file of the same graph and numbers."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from tf2onnx import convert as tf2onnx

    tf2onnx.from_tflite(str(weights), opset=OPSET, output_path=str(out))


def as_onnx(card: ModelCard, weights: bytes, version: str) -> tuple[ModelCard, bytes]:
    """A model → the same as another version whose weights are ONNX.

    Raises:
        ArithmeticError: The two differ by more than `MAX_PARITY`.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / card.weights, Path(folder) / f"{card.line}-{version}.onnx"
        source.write_bytes(weights)
        convert(source, out)
        converted = out.read_bytes()
        named = card.model_copy(
            update={
                "version": version,
                "weights": out.name,
                "weights_sha256": hashlib.sha256(converted).hexdigest(),
                "weights_bytes": len(converted),
            }
        )
        difference = _difference(LiteRtModel(card, source), OnnxModel(named, out))
    if not difference <= MAX_PARITY:  # also when it is NaN
        raise ArithmeticError(f"{named.weights} differs by {difference:g}, limit {MAX_PARITY:g}")
    lineage = card.lineage.model_copy(update={"compared_with": card.model_version})
    return named.model_copy(update={"parity": max(card.parity, difference), "lineage": lineage}), converted


def _difference(one: LiteRtModel, other: OnnxModel) -> float:
    rng = np.random.default_rng(1)
    shape = (_PROBES, *one.card.input_shape)
    if one.card.input_dtype == "uint8":
        probe = rng.integers(0, 256, shape, dtype=np.uint8)
    else:
        probe = rng.normal(1, 1, shape).astype(np.float32)
    return float(np.abs(one.probabilities(probe) - other.probabilities(probe)).max())
