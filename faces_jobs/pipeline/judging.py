"""The stage that looks closely: each face is cut out once, measured, and judged by the models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from faces_jobs.pipeline.batches import Seen
from faces_jobs.pipeline.crops import crop_faces
from faces_jobs.pipeline.quality import CROP_SCALE, CROP_SIZE, sharpness_of
from faces_jobs.pipeline.stages import Classifier
from faces_jobs.pipeline.timing import StageSeconds
from faces_jobs.pipeline.values import Picture

# Crops that are held at once, however many faces a batch has: 64 pixels square, 12 kB each.
_MOST_CROPS = 256
_Geometry = tuple[float, int]  # scale and size of a crop


class Judge:
    """Asks each classifier about many faces at once. Safe to share between threads."""

    def __init__(self, classifiers: Sequence[Classifier], seconds: StageSeconds) -> None:
        self._classifiers = classifiers
        self._seconds = seconds

    def judge(self, faces: Sequence[Seen]) -> None:
        """Fill each face's opinion and sharpness."""
        for start in range(0, len(faces), _MOST_CROPS):
            self._judge(faces[start : start + _MOST_CROPS])

    def _judge(self, faces: Sequence[Seen]) -> None:
        # Models that see the same square share it: cutting a large face costs what judging it does.
        crops: dict[_Geometry, list[Picture]] = {}
        for scale, size in [
            (CROP_SCALE, CROP_SIZE),
            *((each.crop_scale, each.crop_size) for each in self._classifiers),
        ]:
            if (scale, size) not in crops:
                with self._seconds.of("crop"):
                    crops[scale, size] = list(_cut(faces, scale, size))
        with self._seconds.of("crop"):
            for face, crop in zip(faces, crops[CROP_SCALE, CROP_SIZE], strict=True):
                face.sharpness = sharpness_of(crop)
        for each in self._classifiers:
            with self._seconds.of("classify"):
                opinions = each.classify(crops[each.crop_scale, each.crop_size])
            for face, opinion in zip(faces, opinions, strict=True):
                face.opinion.update(opinion)


def _cut(faces: Sequence[Seen], scale: float, size: int) -> Iterator[Picture]:
    for _, group in groupby(faces, key=lambda face: face.frame.index):
        of_frame = list(group)
        first = of_frame[0]
        boxes = first.detections.boxes_xyxy[[face.detection for face in of_frame]]
        yield from crop_faces(
            first.frame.picture_bgr, np.asarray(boxes, np.float32), scale=scale, size=size
        )
