"""A loaded ONNX model: the form in which a large model serves a pool with GPUs, called as LiteRtModel is.

ONNX Runtime is imported only where such a version serves. Its GPU package (extra `gpu`) brings CUDA;
without it, or without a card in the machine, the same file runs on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from serving.cards import ModelCard

PROVIDERS: Final = ("CUDAExecutionProvider", "CPUExecutionProvider")  # the first that is there


class OnnxModel:
    """Verified weights in one session, which any thread may run.

    Args:
        weights: A file whose bytes are those of the card.
    """

    def __init__(self, card: ModelCard, weights: Path) -> None:
        """
        Raises:
            ImportError: This worker has no ONNX Runtime.
            RuntimeError: It cannot read the file.
        """
        import onnxruntime

        self.card = card
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # a worker's cores run bundles
        offered = onnxruntime.get_available_providers()
        with _as_runtime_error():
            self._session = onnxruntime.InferenceSession(
                str(weights), options, providers=[name for name in PROVIDERS if name in offered]
            )
        self._input = self._session.get_inputs()[0].name

    @property
    def provider(self) -> str:
        """What runs it."""
        return str(self._session.get_providers()[0])

    def probabilities(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """[n, *card.input_shape] → float32[n, classes].

        Raises:
            ValueError: Another shape or dtype than the card's.
            RuntimeError: The runtime failed.
        """
        self.card.check_input(batch)
        if not len(batch):
            return np.zeros((0, len(self.card.classes)), np.float32)
        with _as_runtime_error():
            (rows,) = self._session.run(None, {self._input: batch})
        return np.asarray(rows, np.float32)


@contextmanager
def _as_runtime_error() -> Iterator[None]:
    """ONNX Runtime's errors share no class of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    try:
        yield
    except (
        state.EPFail,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
    ) as error:
        raise RuntimeError(str(error)) from error
