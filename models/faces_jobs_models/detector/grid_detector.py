"""The grid detector: every cell of three grids says whether a face is centred near it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Detections, Picture
from faces_jobs_models.detector.decode import decode
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.detector.pictures import check_pictures
from faces_jobs_models.detector.working_batch import WorkingBatch
from faces_jobs_models.weights import ModelRecord


class Network(Protocol):
    """The network without its pre- and post-processing."""

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """(n, 3, h, w) float32 BGR 0..255, multiples of 32, to the arrays of `OUTPUT_NAMES`."""


class GridDetector:
    """Finds faces in batches of pictures of one size. Implements `Detector`."""

    def __init__(
        self,
        network: Network,
        record: ModelRecord,
        options: DetectorOptions | None = None,
        *,
        sha256: str,
    ) -> None:
        self._network = network
        self._record = record
        self._options = options or DetectorOptions()
        self._sha256 = sha256
        self._batch = WorkingBatch(self._options.longest_side)

    @property
    def name(self) -> str:
        """Name in records and results."""
        return self._record.name

    @property
    def version(self) -> str:
        """Version of the weights."""
        return self._record.version

    @property
    def sha256(self) -> str:
        """Of the weights file in use."""
        return self._sha256

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

    def _detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
        """The faces of a few pictures that the network looks at in one run."""
        batch, size = self._batch.fill(pictures_bgr)
        outputs = self._network.run(batch)
        return [
            decode(outputs, index, size=size, options=self._options)
            for index in range(len(pictures_bgr))
        ]
