"""The nets, their training, and their conversion to LiteRT with a parity check. The one user of Keras."""

from __future__ import annotations

from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from local.training.examples import Examples
from schemas.readings import LOG_MEL_SHAPE
from serving.cards import MAX_PARITY

BATCH: Final = 64


def sound_net(classes: int) -> keras.Model:
    """uint8[160, 64] → probabilities; about 2 million multiplications.

    Two channels: the log-mel itself, and what stands out of its band's mean over the clip, so that a
    corpus' steady background says little.
    """
    inputs = keras.Input(LOG_MEL_SHAPE, dtype="uint8")
    mel = keras.layers.Rescaling(1 / 64.0, -2.0)(inputs)
    stands_out = mel - keras.ops.mean(mel, axis=1, keepdims=True)
    x = keras.ops.stack([mel, stands_out], axis=-1)
    x = _step(keras.layers.Conv2D(12, 5, strides=2, padding="same", use_bias=False)(x))
    for filters in (24, 48, 64):
        x = keras.layers.SeparableConv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = _step(x)
    mean = keras.layers.GlobalAveragePooling2D()(x)
    peak = keras.layers.GlobalMaxPooling2D()(x)
    x = keras.layers.Dropout(0.35)(keras.layers.Concatenate()([mean, peak]))
    return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(x))


def _step(x: Any) -> Any:
    return keras.layers.ReLU()(keras.layers.BatchNormalization()(x))


def dense_net(examples: NDArray[np.float32], classes: int) -> keras.Model:
    """float32 features → probabilities; the scaling of the training data is part of the net."""
    inputs = keras.Input(examples.shape[1:])
    scale = keras.layers.Normalization()
    scale.adapt(examples)
    x = keras.layers.Dense(32, activation="relu")(scale(inputs))
    x = keras.layers.Dropout(0.1)(x)
    x = keras.layers.Dense(24, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(x))


def fit(net: keras.Model, examples: Examples, epochs: int, seed: int) -> None:
    """Train for a fixed number of epochs: no test data decides when to stop.

    An example weighs the inverse root of its class' frequency: rare classes count, and a class of many
    kinds (household) still counts more than one of one kind.
    """
    classes = int(net.output_shape[-1])
    counts = np.bincount(examples.labels, minlength=classes)
    weights = (1.0 / np.sqrt(np.maximum(counts, 1)))[examples.labels]
    order = np.random.default_rng(seed).permutation(len(examples.labels))
    steps = epochs * -(-len(order) // BATCH)
    net.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps)),
        keras.losses.CategoricalCrossentropy(label_smoothing=0.03),
    )
    targets = keras.utils.to_categorical(examples.labels, classes)
    net.fit(
        examples.inputs[order],
        targets[order],
        sample_weight=(weights / weights.mean())[order],
        batch_size=BATCH,
        epochs=epochs,
        verbose=0,
    )


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
