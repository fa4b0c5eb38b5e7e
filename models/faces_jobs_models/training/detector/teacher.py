"""The teacher's answers to a batch of scenes: outputs, features, and what is known to be wrong."""

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
_SOME_BELIEF = 0.05  # score from which on a cell says anything of a face
_ON_A_FACE = 0.3  # share of the smaller of two boxes that lies in the other


@dataclass(frozen=True, slots=True, eq=False)
class TeacherOutputs:
    """What there is to learn of a batch.

    `outputs` are as `YuNet.forward` gives them; `features` as `YuNet.pyramid` does, float16.
    """

    outputs: tuple[NDArray[np.float32], ...]
    features: tuple[NDArray[np.float16], ...]


class Teacher:
    """A YuNet whose outputs and features are learnt. It is opened by its first batch.

    So it can be handed to another process, which a running session can't.
    """

    def __init__(self, path: Path) -> None:
        """Look whether the file is there and holds a network that can teach.

        Raises:
            ModelError: it is missing, or another network.
        """
        if not path.is_file():
            raise ModelError(f"There is no teacher {path}: see `faces-jobs models fetch yunet`.")
        read_onnx(path)
        self._path = path
        self._session: OnnxSession | None = None

    def predict(self, scenes: Sequence[Scene]) -> TeacherOutputs:
        """To scenes of one size."""
        if self._session is None:
            self._session = _open(self._path)
        pictures = np.stack([scene.picture for scene in scenes])
        batch = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32)
        given = self._session.run(batch)
        outputs, features = given[: len(OUTPUT_NAMES)], given[len(OUTPUT_NAMES) :]
        for index, scene in enumerate(scenes):
            suppress_false_positives([output[index] for output in outputs], scene)
        largest = np.finfo(np.float16).max  # an untrained network may go beyond
        halves = tuple(np.minimum(one, largest).astype(np.float16) for one in features)
        return TeacherOutputs(tuple(outputs), halves)


class _Telling(nn.Module):
    """Gives outputs and features in one run."""

    def __init__(self, network: YuNet) -> None:
        super().__init__()
        self._network = network

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        features = self._network.pyramid(pictures)
        return (*self._network.outputs(self._network.heads_on(features)), *features)


def _open(path: Path) -> OnnxSession:
    network = read_onnx(path).eval()
    names = (*OUTPUT_NAMES, *(f"features_{stride}" for stride in STRIDES))
    free = {name: {0: "batch", 1: f"cells_{name}"} for name in OUTPUT_NAMES}
    free |= {name: {0: "batch", 2: f"h_{name}", 3: f"w_{name}"} for name in names[12:]}
    free["pictures"] = {0: "batch", 2: "height", 3: "width"}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # see detector/export.py
        file = Path(folder) / "teacher.onnx"
        torch.onnx.export(
            _Telling(network),
            (torch.zeros(2, 3, 64, 96),),
            str(file),
            input_names=["pictures"],
            output_names=list(names),
            dynamic_axes=free,
            opset_version=_OPSET,
            dynamo=False,
        )
        return OnnxSession(file.read_bytes(), name=path.name, threads=1)


def suppress_false_positives(
    outputs: Sequence[NDArray[np.float32]], scene: Scene
) -> Sequence[NDArray[np.float32]]:
    """Where all faces are marked, a belief in another one is a mistake: its scores become 0.

    The outputs of one scene, each (cells, channels), are changed in place and returned.
    """
    height, width = scene.known.shape
    for level, stride in enumerate(STRIDES):
        cls, obj, bbox = (outputs[kind * len(STRIDES) + level] for kind in range(3))
        cells = np.nonzero(cls[:, 0] * obj[:, 0] > _SOME_BELIEF**2)[0]
        rows, columns = np.divmod(cells, width // stride)
        centre = (np.stack([columns, rows], axis=1) + bbox[cells, :2]) * stride
        half = np.exp(np.minimum(bbox[cells, 2:], 6)) * (stride / 2)
        at = np.clip(centre, 0, (width - 1, height - 1)).astype(int)
        boxes = np.concatenate([centre - half, centre + half], axis=1)
        wrong = scene.known[at[:, 1], at[:, 0]] & ~_on_any(boxes, scene.marked_xyxy)
        cls[cells[wrong]] = 0
        obj[cells[wrong]] = 0
    return outputs


def _on_any(boxes: NDArray[np.float32], faces: Boxes) -> NDArray[np.bool_]:
    low = np.maximum(boxes[:, None, :2], faces[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], faces[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(axis=-1)
    one, other = ((box[:, 2:] - box[:, :2]).prod(axis=-1) for box in (boxes, faces))
    smaller = np.minimum(one[:, None], other[None])
    on: NDArray[np.bool_] = (shared > _ON_A_FACE * smaller).any(axis=1)
    return on
