"""The stage that looks closely: each face is cut out once, measured, and judged by the models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from faces_jobs.pipeline.batches import Batch, PendingFace, Turn
from faces_jobs.pipeline.quality import CROP_SCALE, CROP_SIZE, sharpness_of
from faces_jobs.pipeline.stages import Classifier, Cropper
from faces_jobs.pipeline.timing import StageSeconds
from faces_jobs.pipeline.values import Picture

# Crops that are held at once, however many faces a batch has: 64 pixels square, 12 kB each.
MAX_CROPS = 256

Crops = Mapping[PendingFace, Picture]
"""Of faces, as `quality` wants them."""


class ClassifyStage:
    """Asks each classifier about every face. Safe to share between threads."""

    def __init__(
        self, classifiers: Sequence[Classifier], cropper: Cropper, seconds: StageSeconds
    ) -> None:
        self._classifiers = classifiers
        self._cropper = cropper
        self._seconds = seconds

    def judge(self, batch: Batch, turn: Turn) -> None:  # noqa: ARG002 (see `SparseClassification`)
        """Fill the opinion and sharpness of each face of the batch."""
        for faces, crops in self.measured(batch.faces):
            for classifier in self._classifiers:
                self.ask(classifier, faces, crops)

    def measured(
        self, faces: Sequence[PendingFace]
    ) -> Iterator[tuple[Sequence[PendingFace], Crops]]:
        """Fill each face's sharpness; gives the faces back, some at a time, with their crops."""
        for start in range(0, len(faces), MAX_CROPS):
            some = faces[start : start + MAX_CROPS]
            with self._seconds.of("crop"):
                crops = dict(zip(some, self._cut(some, CROP_SCALE, CROP_SIZE), strict=True))
                for face, crop in crops.items():
                    face.sharpness = sharpness_of(crop)
            yield some, crops

    def ask(self, classifier: Classifier, faces: Sequence[PendingFace], crops: Crops) -> None:
        """Fill in what the classifier says of each of these faces.

        Models that see the same square as `quality` use its crop where it is still there:
        cutting a large face costs what judging it does.
        """
        for start in range(0, len(faces), MAX_CROPS):
            some = faces[start : start + MAX_CROPS]
            with self._seconds.of("crop"):
                pictures = self._crops_for(classifier, some, crops)
            with self._seconds.of("classify"):
                opinions = classifier.classify(pictures)
            for face, opinion in zip(some, opinions, strict=True):
                face.opinion.update(opinion)

    def _crops_for(
        self, classifier: Classifier, faces: Sequence[PendingFace], crops: Crops
    ) -> list[Picture]:
        scale, size = classifier.crop_scale, classifier.crop_size
        if (scale, size) == (CROP_SCALE, CROP_SIZE) and all(face in crops for face in faces):
            return [crops[face] for face in faces]
        return self._cut(faces, scale, size)

    def _cut(self, faces: Sequence[PendingFace], scale: float, size: int) -> list[Picture]:
        pictures, boxes = [], []
        for _, group in groupby(faces, key=lambda face: face.frame.index):
            of_frame = list(group)
            first = of_frame[0]
            pictures.append(first.frame.picture_bgr)
            boxes.append(first.detections.boxes_xyxy[[face.detection for face in of_frame]])
        return self._cropper(pictures, boxes, scale=scale, size=size)
