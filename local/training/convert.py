"""Nets → LiteRT weights, with a parity check. The one user of TensorFlow."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from serving.cards import MAX_PARITY


def convert(net: keras.Model, probe: NDArray[Any]) -> tuple[bytes, float]:
    """Net → (LiteRT weights, largest difference of a probability on `probe`).

    The graph is frozen first: converting a SavedModel with variables gives NaN outputs silently.

    Raises:
        ArithmeticError: The converted model differs by more than `MAX_PARITY`, or is not finite.
    """
    signature = tf.TensorSpec([None, *net.input_shape[1:]], net.inputs[0].dtype)
    concrete = tf.function(lambda x: net(x, training=False)).get_concrete_function(signature)
    frozen = convert_variables_to_constants_v2(concrete)
    weights = tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert()
    expected = net(probe, training=False).numpy()
    difference = np.abs(_run(weights, probe) - expected).max()
    if not difference <= MAX_PARITY:  # also when it is NaN
        raise ArithmeticError(f"converted model differs by {difference:g}, limit {MAX_PARITY:g}")
    return weights, float(difference)


def _run(weights: bytes, batch: NDArray[Any]) -> NDArray[np.float32]:
    interpreter = Interpreter(model_content=weights, num_threads=1)
    index = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(index, batch.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(index, batch)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
