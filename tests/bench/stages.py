"""Runs each stage alone on one thread: the sum of their times is the limit of any pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faces_jobs.jobs.records import TrackRecord
from faces_jobs.pipeline.crops import crop_faces
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.protocols import Classifier, Detector
from faces_jobs.pipeline.values import Boxes, Face, Frame, MediaInfo, Picture
from faces_jobs.sinks.annotated import open_annotated
from tests.bench.rounds import Work

MAX_PIXELS = 10**8
CROPS_PER_BATCH = 8
ANALYSIS = ("decode", "detect", "crop", "classify")
DRAWING = ("draw and encode",)


class KeptFaces:
    """A sink that keeps the faces of every frame in memory."""

    def __init__(self) -> None:
        self.by_frame: dict[int, Sequence[Face]] = {}

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:  # noqa: ARG002 (a sink's signature)
        self.by_frame[frame.index] = tuple(faces)

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Stages:
    """The inputs of all stages, prepared before any of them is measured.

    Frames are held decoded: 2.8 MB each at 720p.
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
        """Number of faces in all frames."""
        return sum(len(faces) for faces in self.faces.by_frame.values())

    def works(self) -> Mapping[str, Work]:
        """Return the function that runs each stage on all frames, by the stage's name."""
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
                frame.picture_bgr  # noqa: B018 (the property converts the frame)

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
            its_crops = crops[classifier.name]
            for start in range(0, len(its_crops), CROPS_PER_BATCH):
                classifier.classify(its_crops[start : start + CROPS_PER_BATCH])

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
    """Return the milliseconds a frame if all cores ran nothing but these stages, without idling."""
    stages = (*ANALYSIS, *(DRAWING if annotated else ()))
    return sum(stage_ms[stage] for stage in stages) / cores
