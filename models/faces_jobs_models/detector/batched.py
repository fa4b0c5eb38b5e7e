"""The base class of all detectors: validates pictures and splits them into runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Self

from faces_jobs.pipeline.values import Detections, Picture
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.detector.pictures import check_pictures
from faces_jobs_models.recorded_model import RecordedModel
from faces_jobs_models.weights import ModelRecord


class BatchedDetector(RecordedModel, ABC):
    """Detects faces in batches of pictures of one size. Implements `Detector`."""

    def __init__(self, record: ModelRecord, options: DetectorOptions, *, sha256: str) -> None:
        """`sha256` is that of the weights file in use."""
        super().__init__(record, sha256=sha256)
        self.options = options

    def resized(self, max_side: int) -> Self:
        """Return this detector with another `max_side`. It shares the network.

        Larger inputs come in smaller runs, so that a run needs no more memory.
        """
        growth = max(1.0, (max_side / self.options.max_side) ** 2)
        frames_a_run = max(1, int(self.options.frames_a_run / growth))
        other = copy(self)
        other.options = replace(self.options, max_side=max_side, frames_a_run=frames_a_run)
        return other

    def detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
        """Detect the faces in each picture.

        Args:
            pictures_bgr: (height, width, 3) uint8 each, all of one size, at least 1 x 1.

        Returns:
            One `Detections` a picture, best score first, boxes clamped to the picture and at
            least one pixel wide and high.

        Raises:
            ValueError: the pictures differ in size, are not BGR uint8, or are empty.
        """
        if not pictures_bgr:
            return []
        check_pictures(pictures_bgr)
        detections: list[Detections] = []
        step = self.options.frames_a_run
        for start in range(0, len(pictures_bgr), step):
            detections.extend(self._detect(pictures_bgr[start : start + step]))
        return detections

    @abstractmethod
    def _detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
        """Detect the faces in pictures that fit into one run of the network."""
