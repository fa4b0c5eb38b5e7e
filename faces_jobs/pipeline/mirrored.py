"""Classifies the faces of still images together with their mirror images.

The mean of both opinions is more accurate than one, by up to one percentage point; only pose does
not gain (docs/models.md). In a video the votes of a track average over many pictures anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from faces_jobs.jobs.labels import MIRRORED_LABEL_INDICES
from faces_jobs.pipeline.protocols import Classifier
from faces_jobs.pipeline.values import Opinion, Picture

_HALF = np.float32(0.5)


class MirroredClassifier:
    """A `Classifier` that averages another one's opinions of each crop and its mirror image."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    @property
    def name(self) -> str:
        """Name in records and results."""
        return self._classifier.name

    @property
    def version(self) -> str:
        """Version of the weights in use."""
        return self._classifier.version

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights file in use, in hex."""
        return self._classifier.sha256

    @property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """Head name to its labels, in the order of the probabilities."""
        return self._classifier.heads

    @property
    def unsure_below(self) -> Mapping[str, float]:
        """Head name to its threshold for `unsure`; heads that are absent have none."""
        return self._classifier.unsure_below

    @property
    def crop_scale(self) -> float:
        """Side of the square crop as a multiple of the box's longer side."""
        return self._classifier.crop_scale

    @property
    def crop_size(self) -> int:
        """Side of the resized crop in pixels."""
        return self._classifier.crop_size

    def classify(self, crops_bgr: Sequence[Picture]) -> list[Opinion]:
        """Return one opinion for each crop: the mean over it and its mirror image."""
        return [
            {head: _HALF * (original[head] + mirrored[head]) for head in original}
            for original, mirrored in zip(*self.views(crops_bgr), strict=True)
        ]

    def views(self, crops_bgr: Sequence[Picture]) -> tuple[list[Opinion], list[Opinion]]:
        """Return the opinions of the crops, and those of their mirror images.

        The latter have the labels swapped back that mean left and right.
        """
        mirrored = [np.ascontiguousarray(crop[:, ::-1]) for crop in crops_bgr]
        opinions = self._classifier.classify([*crops_bgr, *mirrored])
        swapped_back: list[Opinion] = [
            {head: opinion[head].take(MIRRORED_LABEL_INDICES[head]) for head in opinion}
            for opinion in opinions[len(mirrored) :]
        ]
        return opinions[: len(mirrored)], swapped_back
