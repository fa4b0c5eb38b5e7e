"""The grid detector on the CPU: each cell of three grids predicts a face centred near it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Detections, Picture
from faces_jobs_models.detector.batched import BatchedDetector
from faces_jobs_models.detector.decode import decode
from faces_jobs_models.detector.input_batch import WorkingBatch
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.weights import ModelRecord


class Network(Protocol):
    """The network without its pre- and post-processing."""

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """(n, 3, h, w) float32 BGR 0..255, sides multiples of 32 -> arrays of `OUTPUT_NAMES`."""


class GridDetector(BatchedDetector):
    """Detects faces with a YuNet-like network on the CPU."""

    def __init__(
        self,
        network: Network,
        record: ModelRecord,
        options: DetectorOptions | None = None,
        *,
        sha256: str,
    ) -> None:
        options = options or DetectorOptions()
        super().__init__(record, options, sha256=sha256)
        self._network = network
        self._batch = WorkingBatch()

    def _detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
        batch, size = self._batch.fill(pictures_bgr, max_side=self.options.max_side)
        outputs = self._network.run(batch)
        return [
            decode(outputs, index, size=size, options=self.options)
            for index in range(len(pictures_bgr))
        ]
