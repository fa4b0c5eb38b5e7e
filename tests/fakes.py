"""Fake networks without weights: they detect coloured squares and classify them by colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from faces_jobs.jobs.labels import MODELS
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.analysis import Analysis
from faces_jobs.pipeline.crops import crop_pictures
from faces_jobs.pipeline.values import Detections, Opinion, Picture

SHA256 = "0" * 64


class SquareDetector:
    """Detects the coloured squares that `tests.clips` draws. Implements `Detector`."""

    name, version, sha256 = "detector", "squares-1", SHA256

    def __init__(self) -> None:
        self.pictures_seen = 0

    def detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
        """Return the boxes of saturated regions of at least 16 pixels, the largest first."""
        assert len({picture.shape for picture in pictures_bgr}) == 1
        self.pictures_seen += len(pictures_bgr)
        return [self._detect(picture) for picture in pictures_bgr]

    def _detect(self, picture_bgr: Picture) -> Detections:
        saturation = picture_bgr.max(axis=2).astype(int) - picture_bgr.min(axis=2)
        mask = (saturation > 100).astype(np.uint8)
        _, _, found, _ = cv2.connectedComponentsWithStats(mask)
        boxes = [(x, y, x + w, y + h) for x, y, w, h, area in found[1:] if area >= 16]
        boxes.sort(key=lambda box: (box[0] - box[2]) * (box[3] - box[1]))
        count = len(boxes)
        return Detections(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.linspace(0.95, 0.9, count, dtype=np.float32),
        )


class ColourClassifier:
    """Classifies a crop by its strongest colour channel. Implements `Classifier`.

    Blue stands for a head's first label, green for its second, red for its third (or last).
    """

    version, sha256 = "colours-1", SHA256
    crop_scale, crop_size = 1.0, 16

    def __init__(self, name: str, unsure_below: Mapping[str, float] | None = None) -> None:
        self.name = name
        self.unsure_below = unsure_below or {}
        self.crops_seen = 0

    @property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """The heads of the model of this name, each with its labels."""
        return MODELS[self.name]

    def classify(self, crops_bgr: Sequence[Picture]) -> list[Opinion]:
        """Return one opinion per crop, whose likeliest labels have the probability 0.8."""
        self.crops_seen += len(crops_bgr)
        return [self._classify(crop) for crop in crops_bgr]

    def _classify(self, crop_bgr: Picture) -> Opinion:
        strongest = int(np.argmax(crop_bgr.reshape(-1, 3).mean(axis=0)))
        opinion = {}
        for head, labels in self.heads.items():
            others = 0.2 / (len(labels) - 1)
            probabilities = np.full(len(labels), others, np.float32)
            probabilities[min(strongest, len(labels) - 1)] = 0.8
            opinion[head] = probabilities
        return opinion


def analysis(spec: JobSpec, **overrides: Any) -> Analysis:
    """Make an analysis with fake networks, except for the fields in `overrides`."""
    defaults = {
        "detector": SquareDetector(),
        "classifiers": [ColourClassifier(name) for name in spec.models],
        "cropper": crop_pictures,
    }
    return Analysis(spec=spec, **{**defaults, **overrides})
