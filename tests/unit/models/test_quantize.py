"""Networks in eight bits: made the same each time, and answering as they do in floats."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from faces_jobs_models.detector.choice import detector_record
from faces_jobs_models.detector.open_detector import open_detector
from faces_jobs_models.onnx_session import OnnxSession
from faces_jobs_models.training.quantize import Batch, quantize
from tests.floats import float_record
from tests.unit.models.detector.scenes import scenes
from tests.unit.models.photographs import overlap


class _Small(nn.Module):
    """Two convolutions and a linear layer, whose answers are as fine as floats are."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU())
        self.head = nn.Linear(8, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        return torch.softmax(self.head(self.body(pictures / 255).mean(dim=(2, 3))), dim=1)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("small") / "small.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # see `training.export`
        torch.onnx.export(
            _Small().eval(),
            (torch.zeros(2, 3, 16, 16),),
            str(path),
            dynamic_axes={"pictures": {0: "batch"}},
            input_names=["pictures"],
            dynamo=False,
        )
    return path.read_bytes()


def _pictures(count: int) -> Batch:
    return np.random.default_rng(2).uniform(0, 255, (count, 3, 16, 16)).astype(np.float32)


def test_it_answers_as_in_floats_and_as_finely(small: bytes) -> None:
    rounded = quantize(small, [_pictures(32)])
    [want] = OnnxSession(small, name="floats", threads=1).run(_pictures(64))
    [got] = OnnxSession(rounded, name="bits", threads=1).run(_pictures(64))
    assert np.abs(want - got).max() < 0.02
    assert len(np.unique(got)) > 256  # no answer is one of 256
    np.testing.assert_allclose(got.sum(axis=1), 1, atol=1e-5)


def test_weights_keep_to_seven_bits(small: bytes) -> None:
    graph = onnx.load_from_string(quantize(small, [_pictures(8)])).graph
    kernels = [
        numpy_helper.to_array(one)
        for one in graph.initializer
        if one.data_type == onnx.TensorProto.INT8 and len(one.dims) == 4
    ]
    # The last weighted layer before an answer is left in floats: here the linear one.
    assert len(kernels) == 2
    assert all(kernel.min() >= -64 and kernel.max() <= 64 for kernel in kernels)


def test_it_is_made_the_same_each_time(small: bytes) -> None:
    assert quantize(small, [_pictures(8)]) == quantize(small, [_pictures(8)])


def test_centerface_finds_in_eight_bits_what_it_finds_in_floats() -> None:
    record = detector_record("centerface")
    rounded, whole = open_detector(record), open_detector(float_record(record))
    assert rounded.sha256 == record.files["int8"].sha256
    assert whole.sha256 == record.files["onnx"].sha256
    for scene in scenes():
        [want] = whole.detect([scene.picture_bgr])
        [got] = rounded.detect([scene.picture_bgr])
        sure = [box for box, score in zip(got.boxes_xyxy, got.scores, strict=True) if score > 0.4]
        for box, score in zip(want.boxes_xyxy, want.scores, strict=True):
            if score > 0.5:
                assert max((overlap(box, one) for one in sure), default=0) > 0.7, scene.name
