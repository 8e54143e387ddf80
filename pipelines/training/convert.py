"""A trained SavedModel → LiteRT weights, by way of the frozen graph.

Converting a SavedModel with variables gives NaN outputs silently: freeze first, and compare always.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from pipelines.training.model import INPUTS, PROBABILITIES


class Trained:
    """A SavedModel of `pipelines.training.model`."""

    def __init__(self, folder: str) -> None:
        self._kept = tf.saved_model.load(folder)
        self._served = self._kept.signatures["served"]

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32[n, f] → float32[n, classes]."""
        made: NDArray[np.float32] = self._served(**{INPUTS: tf.constant(features)})[PROBABILITIES].numpy()
        return made

    def to_litert(self) -> bytes:
        """The weights."""
        frozen = convert_variables_to_constants_v2(self._served)
        converter: Any = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
        weights: bytes = converter.convert()
        return weights
