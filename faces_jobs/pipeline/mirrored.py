"""A still's faces are judged together with their mirror images, where no track votes on them.

The mean over both is right more often than either: by 0.2 to 1.3 points of a hundred, whatever is
asked (docs/models.md). In a video the votes of a track do that, over more pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from faces_jobs.jobs.labels import MIRRORED_LABEL_INDICES
from faces_jobs.pipeline.stages import Classifier
from faces_jobs.pipeline.values import Opinion, Picture

_HALF = np.float32(0.5)


class Mirrored:
    """A `Classifier` that also asks another one about the mirror image of each crop."""

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
        """Of the weights file in use."""
        return self._classifier.sha256

    @property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """Head name to its labels."""
        return self._classifier.heads

    @property
    def unsure_below(self) -> Mapping[str, float]:
        """Head name to the probability below which an answer is `unsure`."""
        return self._classifier.unsure_below

    @property
    def crop_scale(self) -> float:
        """Side of the square crop, in units of the box's longer side."""
        return self._classifier.crop_scale

    @property
    def crop_size(self) -> int:
        """Side of the crop in pixels."""
        return self._classifier.crop_size

    def classify(self, crops_bgr: Sequence[Picture]) -> list[Opinion]:
        """One opinion for each crop: the mean of what is said of it and of its mirror image."""
        return [
            {head: _HALF * (straight[head] + image[head]) for head in straight}
            for straight, image in zip(*self.views(crops_bgr), strict=True)
        ]

    def views(self, crops_bgr: Sequence[Picture]) -> tuple[list[Opinion], list[Opinion]]:
        """What is said of each crop, and of its mirror image with left and right put back."""
        images = [np.ascontiguousarray(crop[:, ::-1]) for crop in crops_bgr]
        said = self._classifier.classify([*crops_bgr, *images])
        back: list[Opinion] = [
            {head: opinion[head].take(MIRRORED_LABEL_INDICES[head]) for head in opinion}
            for opinion in said[len(images) :]
        ]
        return said[: len(images)], back
