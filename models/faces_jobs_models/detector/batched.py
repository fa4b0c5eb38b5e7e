"""What every detector here does alike: it takes pictures of one size, run by run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from faces_jobs.pipeline.values import Detections, Picture
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.detector.pictures import check_pictures
from faces_jobs_models.recorded import Recorded
from faces_jobs_models.weights import ModelRecord


class BatchedDetector(Recorded, ABC):
    """Finds faces in batches of pictures of one size. Implements `Detector`."""

    def __init__(self, record: ModelRecord, options: DetectorOptions, *, sha256: str) -> None:
        """`sha256` is that of the weights file in use."""
        super().__init__(record, sha256=sha256)
        self._options = options

    def detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
        """Find the faces of each picture.

        Args:
            pictures_bgr: (height, width, 3) uint8 each, all of one size, from 1 x 1 up.

        Returns:
            One `Detections` a picture, best score first, boxes clamped to the picture and of at
            least one pixel.

        Raises:
            ValueError: the pictures differ in size, are not BGR uint8, or hold no pixel.
        """
        if not pictures_bgr:
            return []
        check_pictures(pictures_bgr)
        found: list[Detections] = []
        step = self._options.frames_a_run
        for start in range(0, len(pictures_bgr), step):
            found.extend(self._detect(pictures_bgr[start : start + step]))
        return found

    @abstractmethod
    def _detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
        """The faces of a few pictures that the network looks at in one run."""
