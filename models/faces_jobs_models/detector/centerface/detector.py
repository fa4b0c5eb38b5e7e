"""CenterFace: its outputs decoded, its input prepared; written from the paper.

Xu, Yan, Yang, Sun, Wang, Li: "CenterFace: Joint Face Detection and Alignment Using Face as
Point", arXiv:1911.03599. A face is a peak of a heatmap at a quarter of the input's resolution;
three more maps say how high and wide its box is (as logarithms), where inside the cell its
centre lies, and where five landmarks lie inside the box.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Detections, Picture
from faces_jobs_models.detector.batched import BatchedDetector
from faces_jobs_models.detector.best_faces import MAX_LOG_SIZE, best_faces
from faces_jobs_models.detector.input_batch import WorkingBatch, WorkingSize
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.detector.outputs import LANDMARKS
from faces_jobs_models.weights import ModelRecord

STRIDE = 4  # pixels of input a cell of the heatmap stands for
Maps = Sequence[NDArray[np.float32]]


class Network(Protocol):
    """The network without its pre- and post-processing."""

    def run(self, batch: NDArray[np.float32]) -> Maps:
        """(n, 3, h, w) float32 RGB 0..255 to one array an output, in the order of the file."""


class CenterFaceDetector(BatchedDetector):
    """Finds faces in batches of pictures of one size, on the CPU."""

    def __init__(
        self, network: Network, record: ModelRecord, options: DetectorOptions, *, sha256: str
    ) -> None:
        super().__init__(record, options, sha256=sha256)
        self._network = network
        self._batch = WorkingBatch(options.max_side, colour="RGB")

    def _detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
        batch, size = self._batch.fill(pictures_bgr)
        heat, sizes, offsets, landmarks = self._network.run(batch)
        return [
            decode(
                heat[index, 0],
                sizes[index],
                offsets[index],
                landmarks[index],
                size=size,
                options=self._options,
            )
            for index in range(len(pictures_bgr))
        ]


def decode(
    heat: NDArray[np.float32],
    sizes: NDArray[np.float32],
    offsets: NDArray[np.float32],
    landmarks: NDArray[np.float32],
    *,
    size: WorkingSize,
    options: DetectorOptions,
) -> Detections:
    """Maps of one picture to boxes in its own pixels.

    Args:
        heat: (h, w) scores 0..1.
        sizes: (2, h, w) logarithms of box height and width, in cells.
        offsets: (2, h, w) where in its cell the centre lies, down and across.
        landmarks: (10, h, w) five points as (down, across) in units of the box from its corner.
        size: how the picture lies in the network's input.
        options: thresholds.
    """
    rows, columns = np.nonzero(heat >= options.min_score)
    logarithms = np.minimum(sizes[:, rows, columns], MAX_LOG_SIZE)
    height, width = np.exp(logarithms) * STRIDE
    top = (rows + offsets[0, rows, columns] + 0.5) * STRIDE - height / 2
    left = (columns + offsets[1, rows, columns] + 0.5) * STRIDE - width / 2
    down, across = landmarks[:, rows, columns].reshape(LANDMARKS, 2, -1).transpose(1, 2, 0)
    points_xy = np.stack(
        [across * width[:, None] + left[:, None], down * height[:, None] + top[:, None]], axis=-1
    )
    return best_faces(
        heat[rows, columns],
        np.stack([left, top, left + width, top + height], axis=1),
        points_xy,
        size=size,
        options=options,
    )
