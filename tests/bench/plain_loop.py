"""The plain loop of most programs: read a frame, detect, run three models per face, write.

It follows the open-source tool Faces, but with our own networks, so that only the way of running
them differs: torch in eager mode, one frame and one face at a time, `cv2.VideoWriter`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.crops import crop_faces
from faces_jobs.pipeline.protocols import Detector
from faces_jobs.pipeline.values import Picture
from faces_jobs_models.catalog import Catalog
from faces_jobs_models.classifier import to_batch
from faces_jobs_models.detector.grid_detector import GridDetector
from faces_jobs_models.detector.open_detector import open_detector
from faces_jobs_models.detector.torch_network import TorchGridNetwork
from faces_jobs_models.torch_session import TorchSession
from tests.floats import float_record

THRESHOLD = 0.5
_GREEN_BGR = (0, 255, 0)


class PlainLoop:
    """The plain loop, with its networks opened."""

    def __init__(self, catalog: Catalog) -> None:
        records = {record.name: record for record in catalog.records()}
        models = [record for record in records.values() if record.input_size is not None]
        self._models = [(record, TorchSession(record, device="cpu")) for record in models]
        self._detector = _open_float_detector(catalog)

    def run(self, source: Path, target: Path) -> int:
        """Annotate a video, and return its number of frames."""
        # This is what other programs use: the ban on it does not apply here.
        reader = cv2.VideoCapture(str(source))  # noqa: TID251
        rate = reader.get(cv2.CAP_PROP_FPS)
        size = round(reader.get(3)), round(reader.get(4))
        codec = cv2.VideoWriter.fourcc(*"mp4v")  # noqa: TID251
        writer = cv2.VideoWriter(str(target), codec, rate, size)  # noqa: TID251
        count = 0
        while True:
            success, picture = reader.read()
            if not success:
                break
            self._annotate(np.asarray(picture, np.uint8))
            writer.write(picture)
            count += 1
        reader.release()
        writer.release()
        return count

    def _annotate(self, picture_bgr: Picture) -> None:
        (found,) = self._detector.detect([picture_bgr])
        for box, score in zip(found.boxes_xyxy, found.scores, strict=True):
            if score < THRESHOLD:
                continue
            left, top, right, bottom = (int(side) for side in box)
            lines = []
            for record, network in self._models:
                [crop] = crop_faces(
                    picture_bgr,
                    box[None],
                    scale=record.crop_scale or 1.0,
                    size=record.input_size or 64,
                )
                probabilities = network.run(to_batch([crop], record.input_size or 64))
                lines += _labels(record.heads, probabilities)
            cv2.rectangle(picture_bgr, (left, top), (right, bottom), _GREEN_BGR, 2)
            for number, line in enumerate(lines):
                place = left, top + 18 * (number + 1)
                cv2.putText(picture_bgr, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.6, _GREEN_BGR, 2)


def _open_float_detector(catalog: Catalog) -> Detector:
    record = catalog.record("detector")
    if "safetensors" not in record.files:
        # A plain loop would run the published file, in floats.
        return open_detector(float_record(record))
    network = TorchGridNetwork(record, device="cpu")
    return GridDetector(network, record, sha256=record.files["safetensors"].sha256)


def _labels(
    heads: Mapping[str, tuple[str, ...]], probabilities: Sequence[NDArray[np.float32]]
) -> list[str]:
    return [
        labels[int(of_head[0].argmax())]
        for labels, of_head in zip(heads.values(), probabilities, strict=True)
    ]
