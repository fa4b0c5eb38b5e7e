"""The teacher of the detector: its outputs and features for scenes, without known mistakes."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from faces_jobs.errors import ModelError
from faces_jobs.pipeline.values import Boxes
from faces_jobs_models.detector.onnx_reader import read_onnx
from faces_jobs_models.detector.outputs import OUTPUT_NAMES, STRIDES
from faces_jobs_models.detector.yunet import YuNet
from faces_jobs_models.onnx_session import OnnxSession
from faces_jobs_models.training.detector.scenes import Scene

_OPSET = 17
_MIN_SCORE = 0.05  # below, a cell predicts no face
_MIN_OVERLAP = 0.3  # share of the smaller of two boxes that is in the other
_MAX_LOG_SIZE = 6  # of an untrained network's boxes


@dataclass(frozen=True, slots=True, eq=False)
class TeacherOutputs:
    """The targets of a batch.

    `outputs` are as `YuNet.forward` returns them; `features` as `YuNet.pyramid` does, in float16.
    """

    outputs: tuple[NDArray[np.float32], ...]
    features: tuple[NDArray[np.float16], ...]


class Teacher:
    """A YuNet whose outputs and features are the targets.

    It is opened by its first batch: unlike an open session, it can be pickled before.
    """

    def __init__(self, path: Path) -> None:
        """Check that the file is a YuNet.

        Raises:
            ModelError: the file is missing, or holds another network.
        """
        if not path.is_file():
            raise ModelError(f"There is no teacher {path}: see `faces-jobs models fetch yunet`.")
        read_onnx(path)
        self._path = path
        self._session: OnnxSession | None = None

    def predict(self, scenes: Sequence[Scene]) -> TeacherOutputs:
        """Predict scenes, which must all have the same size."""
        if self._session is None:
            self._session = _open(self._path)
        pictures = np.stack([scene.picture for scene in scenes])
        batch = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32)
        results = self._session.run(batch)
        outputs, features = results[: len(OUTPUT_NAMES)], results[len(OUTPUT_NAMES) :]
        for index, scene in enumerate(scenes):
            suppress_false_positives([output[index] for output in outputs], scene)
        largest = np.finfo(np.float16).max  # which an untrained network may exceed
        in_half_precision = tuple(np.minimum(one, largest).astype(np.float16) for one in features)
        return TeacherOutputs(tuple(outputs), in_half_precision)


class _OutputsAndFeatures(nn.Module):
    """Returns the outputs and features of a YuNet in one pass."""

    def __init__(self, network: YuNet) -> None:
        super().__init__()
        self._network = network

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        features = self._network.pyramid(pictures)
        return (*self._network.outputs(self._network.apply_heads(features)), *features)


def _open(path: Path) -> OnnxSession:
    network = read_onnx(path).eval()
    names = (*OUTPUT_NAMES, *(f"features_{stride}" for stride in STRIDES))
    dynamic_axes = {name: {0: "batch", 1: f"cells_{name}"} for name in OUTPUT_NAMES}
    dynamic_axes |= {
        name: {0: "batch", 2: f"h_{name}", 3: f"w_{name}"} for name in names[len(OUTPUT_NAMES) :]
    }
    dynamic_axes["pictures"] = {0: "batch", 2: "height", 3: "width"}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # see detector/export.py
        file = Path(folder) / "teacher.onnx"
        torch.onnx.export(
            _OutputsAndFeatures(network),
            (torch.zeros(2, 3, 64, 96),),
            str(file),
            input_names=["pictures"],
            output_names=list(names),
            dynamic_axes=dynamic_axes,
            opset_version=_OPSET,
            dynamo=False,
        )
        return OnnxSession(file.read_bytes(), name=path.name, threads=1)


def suppress_false_positives(
    outputs: Sequence[NDArray[np.float32]], scene: Scene
) -> Sequence[NDArray[np.float32]]:
    """Set the scores of known false positives to 0: boxes off all faces where all are annotated.

    The outputs of one scene, each (cells, channels), are changed in place and returned.
    """
    height, width = scene.known.shape
    for level, stride in enumerate(STRIDES):
        cls, obj, bbox = (outputs[kind * len(STRIDES) + level] for kind in range(3))
        cells = np.nonzero(cls[:, 0] * obj[:, 0] > _MIN_SCORE**2)[0]
        rows, columns = np.divmod(cells, width // stride)
        centre = (np.stack([columns, rows], axis=1) + bbox[cells, :2]) * stride
        half = np.exp(np.minimum(bbox[cells, 2:], _MAX_LOG_SIZE)) * (stride / 2)
        pixel = np.clip(centre, 0, (width - 1, height - 1)).astype(int)
        boxes = np.concatenate([centre - half, centre + half], axis=1)
        is_wrong = scene.known[pixel[:, 1], pixel[:, 0]] & ~_overlap_any(boxes, scene.marked_xyxy)
        cls[cells[is_wrong]] = 0
        obj[cells[is_wrong]] = 0
    return outputs


def _overlap_any(boxes: NDArray[np.float32], faces: Boxes) -> NDArray[np.bool_]:
    low = np.maximum(boxes[:, None, :2], faces[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], faces[None, :, 2:])
    intersection = np.maximum(high - low, 0).prod(axis=-1)
    box_areas, face_areas = ((one[:, 2:] - one[:, :2]).prod(axis=-1) for one in (boxes, faces))
    smaller = np.minimum(box_areas[:, None], face_areas[None])
    overlaps: NDArray[np.bool_] = (intersection > _MIN_OVERLAP * smaller).any(axis=1)
    return overlaps
