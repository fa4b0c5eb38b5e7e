"""The necessary stages of a frame, each run alone on one thread, and the limit they imply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faces_jobs.jobs.records import TrackRecord
from faces_jobs.pipeline.crops import crop_faces
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.stages import Classifier, Detector
from faces_jobs.pipeline.values import Boxes, Face, Frame, MediaInfo, Picture
from faces_jobs.sinks.annotated import open_annotated
from tests.bench.rounds import Workload

MAX_PIXELS = 10**8
CROP_BATCH_SIZE = 8
ANALYSIS = ("decode", "detect", "crop", "classify")
DRAWING = ("draw and encode",)


class KeptFaces:
    """A sink that keeps the faces of every frame, so that they can be drawn again."""

    def __init__(self) -> None:
        self.by_frame: dict[int, Sequence[Face]] = {}

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:  # noqa: ARG002 (a sink's signature)
        self.by_frame[frame.index] = tuple(faces)

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Stages:
    """The inputs of all stages, prepared before any stage is measured.

    Frames are kept decoded: 2.8 MB each at 720p.
    """

    clip: Path
    folder: Path
    info: MediaInfo
    frames: Sequence[Frame]
    faces: KeptFaces
    detector: Detector
    classifiers: Sequence[Classifier]

    @property
    def face_count(self) -> int:
        """The number of faces in all frames."""
        return sum(len(faces) for faces in self.faces.by_frame.values())

    def workloads(self) -> Mapping[str, Workload]:
        """A function for each stage, by name, which runs the stage on all frames."""
        crops = {one.name: list(self._crops(one)) for one in self.classifiers}
        return {
            "decode": self._decode,
            "detect": self._detect,
            "crop": self._crop,
            "classify": lambda: self._classify(crops),
            "draw and encode": self._draw_and_encode,
        }

    def _decode(self) -> None:
        with open_frames(self.clip, max_pixels=MAX_PIXELS) as reader:
            for frame in reader:
                frame.picture_bgr  # noqa: B018 (reading it converts the frame)

    def _detect(self) -> None:
        for frame in self.frames:
            self.detector.detect([frame.picture_bgr])

    def _crop(self) -> None:
        # Models with the same crop geometry share their crops.
        for scale, size in {(one.crop_scale, one.crop_size) for one in self.classifiers}:
            for picture, boxes in self._pictures():
                crop_faces(picture, boxes, scale=scale, size=size)

    def _classify(self, crops: Mapping[str, Sequence[Picture]]) -> None:
        for classifier in self.classifiers:
            model_crops = crops[classifier.name]
            for start in range(0, len(model_crops), CROP_BATCH_SIZE):
                classifier.classify(model_crops[start : start + CROP_BATCH_SIZE])

    def _draw_and_encode(self) -> None:
        with open_annotated(self.folder / "alone", self.info, self.clip) as sink:
            for frame in self.frames:
                sink.add(frame, self.faces.by_frame[frame.index], analysed=True)
            sink.finish([])

    def _crops(self, classifier: Classifier) -> Iterator[Picture]:
        for picture, boxes in self._pictures():
            yield from crop_faces(
                picture, boxes, scale=classifier.crop_scale, size=classifier.crop_size
            )

    def _pictures(self) -> Iterator[tuple[Picture, Boxes]]:
        for frame in self.frames:
            faces = self.faces.by_frame[frame.index]
            if faces:
                boxes = np.array([face.record.box_xyxy for face in faces], np.float32)
                yield frame.picture_bgr, boxes


def limit_ms(stage_ms: Mapping[str, float], *, annotated: bool, cores: int) -> float:
    """Milliseconds per frame if all cores ran only these stages, without pauses."""
    stages = (*ANALYSIS, *(DRAWING if annotated else ()))
    return sum(stage_ms[stage] for stage in stages) / cores
