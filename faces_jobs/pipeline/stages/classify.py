"""The classification stage: crops each face, measures its sharpness and runs the models on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from faces_jobs.pipeline.batches import Batch, PendingFace, Turn
from faces_jobs.pipeline.protocols import Classifier, Cropper
from faces_jobs.pipeline.quality import CROP_SCALE, CROP_SIZE, sharpness_of
from faces_jobs.pipeline.timing import StageTimer
from faces_jobs.pipeline.values import Picture

# Crops held in memory at once, however many faces a batch has: 64 x 64 pixels, 12 kB each.
MAX_CROPS = 256

Crops = Mapping[PendingFace, Picture]
"""The crops of faces with the scale and size of `quality`."""


class ClassifyStage:
    """Runs each classifier on every face. Thread-safe."""

    def __init__(
        self, classifiers: Sequence[Classifier], cropper: Cropper, timer: StageTimer
    ) -> None:
        self._classifiers = classifiers
        self._cropper = cropper
        self._timer = timer

    def classify(self, batch: Batch, turn: Turn) -> None:  # noqa: ARG002 (see `SparseClassification`)
        """Fill in the opinion and sharpness of each face of the batch."""
        for faces, crops in self.measure_sharpness(batch.faces):
            for classifier in self._classifiers:
                self.classify_faces(classifier, faces, crops)

    def measure_sharpness(
        self, faces: Sequence[PendingFace]
    ) -> Iterator[tuple[Sequence[PendingFace], Crops]]:
        """Fill in the sharpness of each face; yields up to `MAX_CROPS` faces and their crops."""
        for start in range(0, len(faces), MAX_CROPS):
            chunk = faces[start : start + MAX_CROPS]
            with self._timer.measure("crop"):
                crops = dict(zip(chunk, self._crop(chunk, CROP_SCALE, CROP_SIZE), strict=True))
                for face, crop in crops.items():
                    face.sharpness = sharpness_of(crop)
            yield chunk, crops

    def classify_faces(
        self, classifier: Classifier, faces: Sequence[PendingFace], crops: Crops
    ) -> None:
        """Add what the classifier predicts to the opinion of each of these faces.

        Classifiers with the same crop geometry as `quality` reuse `crops` where they can: cropping
        a large face costs as much as classifying it.
        """
        for start in range(0, len(faces), MAX_CROPS):
            chunk = faces[start : start + MAX_CROPS]
            with self._timer.measure("crop"):
                pictures = self._crops_for(classifier, chunk, crops)
            with self._timer.measure("classify"):
                opinions = classifier.classify(pictures)
            for face, opinion in zip(chunk, opinions, strict=True):
                face.opinion.update(opinion)

    def _crops_for(
        self, classifier: Classifier, faces: Sequence[PendingFace], crops: Crops
    ) -> list[Picture]:
        scale, size = classifier.crop_scale, classifier.crop_size
        if (scale, size) == (CROP_SCALE, CROP_SIZE) and all(face in crops for face in faces):
            return [crops[face] for face in faces]
        return self._crop(faces, scale, size)

    def _crop(self, faces: Sequence[PendingFace], scale: float, size: int) -> list[Picture]:
        pictures, boxes = [], []
        for _, group in groupby(faces, key=lambda face: face.frame.index):
            of_frame = list(group)
            first = of_frame[0]
            pictures.append(first.frame.picture_bgr)
            boxes.append(first.detections.boxes_xyxy[[face.detection for face in of_frame]])
        return self._cropper(pictures, boxes, scale=scale, size=size)
