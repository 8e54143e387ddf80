"""A loaded model: probabilities of a batch, safe to share between threads; its weights are mapped, not read.

Processes of a worker that map the same file share its pages.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Final

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from serving import cards
from serving.cards import ModelCard, ModelRefused
from serving.onnx_model import OnnxModel

MAX_BATCH: Final = 64


class LiteRtModel:
    """Verified weights with one interpreter for each thread and batch size.

    An interpreter serves one thread at a time, and giving it another batch size plans its memory
    anew (slower than small models run); so each thread keeps one for each power of two up to
    `MAX_BATCH`, and a batch is padded to the next.

    Args:
        weights: A file whose bytes are those of the card.
    """

    def __init__(self, card: ModelCard, weights: Path) -> None:
        self.card = card
        self._weights = weights
        self._local = threading.local()

    def probabilities(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """[n, *card.input_shape] → float32[n, classes].

        Raises:
            ValueError: Another shape or dtype than the card's.
        """
        self.card.check_input(batch)
        parts = [self._run(batch[first : first + MAX_BATCH]) for first in range(0, len(batch), MAX_BATCH)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.card.classes)), np.float32)

    def _run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        count = len(batch)
        size = 1 << (count - 1).bit_length()
        interpreter, input_index, output_index = self._interpreter(size)
        if size > count:
            batch = np.concatenate([batch, np.zeros((size - count, *batch.shape[1:]), batch.dtype)])
        interpreter.set_tensor(input_index, batch)
        interpreter.invoke()
        result: NDArray[np.float32] = interpreter.get_tensor(output_index)[:count]
        return result

    def _interpreter(self, size: int) -> tuple[Interpreter, int, int]:
        by_size: dict[int, tuple[Interpreter, int, int]] = self._local.__dict__.setdefault("by_size", {})
        if size not in by_size:
            interpreter = Interpreter(model_path=str(self._weights), num_threads=1)
            input_index = interpreter.get_input_details()[0]["index"]
            interpreter.resize_tensor_input(input_index, [size, *self.card.input_shape])
            interpreter.allocate_tensors()
            by_size[size] = (interpreter, input_index, interpreter.get_output_details()[0]["index"])
        return by_size[size]


LoadedModel = LiteRtModel | OnnxModel


def open_model(card: ModelCard, weights: Path) -> LoadedModel:
    """Verified weights → a model that was tried once, in the runtime of their form (decision 033).

    Raises:
        ModelRefused: The runtime cannot read them, or what they answer is no probability for each class.
    """
    runtime = OnnxModel if weights.suffix == ".onnx" else LiteRtModel
    try:
        model = runtime(card, weights)
        (row,) = model.probabilities(np.zeros((1, *card.input_shape), card.input_dtype))
    except (ValueError, RuntimeError, ImportError) as error:
        raise ModelRefused(f"{card.weights} does not run: {error}") from error
    if row.shape != (len(card.classes),) or not ((row >= 0) & (row <= 1 + 1e-6)).all():  # false for NaN
        raise ModelRefused(f"{card.weights} answers {row.tolist()}, wanted {len(card.classes)} probabilities")
    return model


def open_card(path: Path) -> LoadedModel:
    """The path of a card, its weights beside it → its model.

    Raises:
        ModelRefused: As `serving.cards.load` and `open_model`.
    """
    card, _ = cards.load(path)
    return open_model(card, path.with_name(card.weights))
