"""The trunk's weights are read out of an archive without running code, and its bands are ours, moved."""

import io
import zipfile

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from local.training import yamnet


def _outside(name: str, values: np.ndarray, data: bytearray) -> TensorProto:
    """A tensor whose bytes lie in the file beside the model."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=values.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "model.data"), ("offset", len(data)), ("length", values.nbytes)):
        tensor.external_data.add(key=key, value=str(value))
    data.extend(values.tobytes())
    return tensor


def test_kernels_come_out_in_the_order_of_the_graph_with_the_axes_of_keras():
    rng, data = np.random.default_rng(1), bytearray()
    first = rng.normal(size=(8, 1, 3, 3)).astype(np.float32)
    depthwise = rng.normal(size=(8, 1, 3, 3)).astype(np.float32)
    bias = rng.normal(size=8).astype(np.float32)
    tensors = [_outside("a", first, data), _outside("b", depthwise, data), _outside("c", bias, data)]
    nodes = [
        helper.make_node("Conv", ["x", "a_qdq", "c"], ["y"], name="/model/layer1/fused/conv/Conv"),
        helper.make_node("Conv", ["y", "b_qdq", "c"], ["z"], name="/model/layer2/depthwise_conv/conv/Conv"),
    ]
    model = helper.make_model(helper.make_graph(nodes, "g", [], [], tensors))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as parts:
        parts.writestr("job/model.onnx", model.SerializeToString())
        parts.writestr("job/model.data", bytes(data))
    (kernel, found), (deep, _) = yamnet.weights(archive.getvalue())
    assert kernel.shape == (3, 3, 1, 8)
    assert kernel[2, 1, 0, 5] == first[5, 0, 2, 1]
    assert deep.shape == (3, 3, 8, 1)
    assert deep[2, 1, 5, 0] == depthwise[5, 0, 2, 1]
    assert found == pytest.approx(bias)
    assert isinstance(onnx.load_model_from_string(model.SerializeToString()), onnx.ModelProto)


def test_a_level_that_all_bands_share_is_kept_and_a_band_moves_to_its_nearest():
    blend = yamnet._bands()
    assert np.full(64, -30.0) @ blend == pytest.approx(np.full(64, -30.0), abs=1e-4)
    one = np.full(64, -90.0)
    one[40] = -20.0
    moved = one @ blend
    ours, theirs = yamnet._centres(50.0, 7800.0), yamnet._centres(125.0, 7500.0)
    assert abs(theirs[moved.argmax()] - ours[40]) <= (ours[1] - ours[0])
