"""The nets, their training and their calibration, in Keras alone: any of its backends trains them."""

from __future__ import annotations

from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from local.training.examples import Examples
from schemas.features import MEL_FLOOR_DB
from schemas.readings import LOG_MEL_SHAPE

BATCH: Final = 64
RANGE_DB: Final = 80.0  # below a clip's loudest band; what is softer says nothing
_LOGITS: Final = "logits"
_TEMPERATURES: Final = np.geomspace(0.25, 4.0, 161)


def decibels(inputs: Any) -> Any:
    """uint8 log-mel → dB of full scale, as `schemas.features` codes it."""
    return keras.layers.Rescaling(-MEL_FLOOR_DB / 255.0, MEL_FLOOR_DB)(inputs)


def sound_net(classes: int) -> keras.Model:
    """uint8[160, 64] → probabilities; about 3.5 million multiplications, 36,000 parameters.

    Two channels, both free of gain: the log-mel below the clip's loudest band, and what stands out of its
    band's mean over the clip, so that a corpus' steady background says little. The level itself joins late.
    """
    inputs = keras.Input(LOG_MEL_SHAPE, dtype="uint8")
    level = decibels(inputs)
    loudest = keras.ops.max(level, axis=(1, 2), keepdims=True)
    below = keras.ops.maximum((level - loudest) / RANGE_DB + 1.0, 0.0)
    stands_out = below - keras.ops.mean(below, axis=1, keepdims=True)
    x = keras.ops.stack([below, 4.0 * stands_out], axis=-1)
    x = _step(keras.layers.Conv2D(16, 5, strides=2, padding="same", use_bias=False)(x))
    for filters, strides in ((32, 2), (64, 2), (96, 2), (128, 1)):
        x = keras.layers.SeparableConv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
        x = _step(x)
    mean = keras.layers.GlobalAveragePooling2D()(x)
    peak = keras.layers.GlobalMaxPooling2D()(x)
    loud = keras.ops.reshape(loudest, (-1, 1)) / 60.0 + 1.0
    x = keras.layers.Dropout(0.3)(keras.ops.concatenate([mean, peak, loud], axis=1))
    return _ending(inputs, x, classes)


def head(features: NDArray[np.float32], classes: int) -> keras.Model:
    """float32 features of a trunk → probabilities; the scaling of `features` is part of the net."""
    inputs = keras.Input(features.shape[1:])
    scale = keras.layers.Normalization()
    scale.adapt(features)
    x = keras.layers.Dropout(0.4)(keras.ops.clip(scale(inputs), -5.0, 5.0))
    x = keras.layers.Dense(96, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-4))(x)
    return _ending(inputs, keras.layers.Dropout(0.3)(x), classes)


def dense_net(examples: NDArray[np.float32], classes: int) -> keras.Model:
    """float32 features → probabilities; the scaling of the training data is part of the net."""
    inputs = keras.Input(examples.shape[1:])
    scale = keras.layers.Normalization()
    scale.adapt(examples)
    x = keras.layers.Dense(32, activation="relu")(scale(inputs))
    x = keras.layers.Dropout(0.1)(x)
    x = keras.layers.Dense(24, activation="relu")(x)
    return _ending(inputs, x, classes)


def joined(trunk: keras.Model, top: keras.Model) -> keras.Model:
    """Trunk and head as one net."""
    inputs = keras.Input(trunk.input_shape[1:], dtype=trunk.inputs[0].dtype)
    return keras.Model(inputs, top(trunk(inputs)))


def fit(
    net: keras.Model,
    examples: Examples,
    epochs: int,
    seed: int,
    soft: NDArray[np.floating] | None = None,
    rate: float = 3e-3,
    decay: float = 0.0,
) -> None:
    """Train for a fixed number of epochs: no test data decides when to stop.

    An example weighs the inverse root of its class' frequency: rare classes count, and a class of many
    kinds (household) still counts more than one of one kind.

    Args:
        soft: float[n, classes], what a larger net says of each example; half of the target then.
        rate: Learning rate at the start; it falls by a cosine to nothing. decay: of the weights.
    """
    classes = int(net.output_shape[-1])
    counts = np.bincount(examples.labels, minlength=classes)
    weights = (1.0 / np.sqrt(np.maximum(counts, 1)))[examples.labels]
    order = np.random.default_rng(seed).permutation(len(examples.labels))
    steps = epochs * -(-len(order) // BATCH)
    net.compile(
        keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(rate, steps), weight_decay=decay),
        keras.losses.CategoricalCrossentropy(label_smoothing=0.03),
    )
    targets = np.eye(classes, dtype=np.float32)[examples.labels]
    if soft is not None:
        targets = ((targets + soft) / 2).astype(np.float32)
    net.fit(
        examples.inputs[order],
        targets[order],
        sample_weight=(weights / weights.mean())[order].astype(np.float32),
        batch_size=BATCH,
        epochs=epochs,
        verbose=0,
    )


def probabilities(net: keras.Model, inputs: NDArray[Any]) -> NDArray[np.float32]:
    """Inputs → float32[n, classes]."""
    said: NDArray[np.float32] = net.predict(inputs, batch_size=256, verbose=0)
    return said


def temperature(said: NDArray[np.floating], labels: NDArray[np.intp]) -> float:
    """Probabilities on data that the net did not learn from → the temperature that makes them honest.

    The one, of a grid from ¼ to 4, with the least log loss (Guo et al. 2017).
    """
    logits = np.log(np.maximum(said, 1e-9))
    losses = []
    for t in _TEMPERATURES:
        scaled = logits / t
        scaled -= scaled.max(axis=1, keepdims=True)
        norm = np.log(np.exp(scaled).sum(axis=1))
        losses.append(float((norm - scaled[np.arange(len(labels)), labels]).mean()))
    return float(_TEMPERATURES[int(np.argmin(losses))])


def cool(net: keras.Model, by: float) -> None:
    """Divide the net's logits by a temperature, for good."""
    layer = next(layer for layer in _flat(net) if layer.name == _LOGITS)
    layer.set_weights([weights / by for weights in layer.get_weights()])


def _flat(net: keras.Model) -> list[Any]:
    return [
        part for layer in net.layers for part in (_flat(layer) if isinstance(layer, keras.Model) else [layer])
    ]


def _ending(inputs: Any, x: Any, classes: int) -> keras.Model:
    logits = keras.layers.Dense(classes, name=_LOGITS)(x)
    return keras.Model(inputs, keras.layers.Softmax(dtype="float32")(logits))


def _step(x: Any) -> Any:
    return keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
