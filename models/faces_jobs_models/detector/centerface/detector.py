"""CenterFace on the CPU: prepares its input and decodes its outputs.

After Xu, Yan, Yang, Sun, Wang, Li: "CenterFace: Joint Face Detection and Alignment Using Face as
Point", arXiv:1911.03599. A face is a cell with a high score in a heatmap at a quarter of the
input's resolution; three more maps hold the logarithms of its height and width, the offset of its
centre within the cell, and five landmarks relative to the box.
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

STRIDE = 4  # pixels of the input per cell of the heatmap
Maps = Sequence[NDArray[np.float32]]


class Network(Protocol):
    """The network without its pre- and post-processing."""

    def run(self, batch: NDArray[np.float32]) -> Maps:
        """(n, 3, h, w) float32 RGB 0..255 -> one array per output, in the order of the file."""


class CenterFaceDetector(BatchedDetector):
    """Detects faces with CenterFace on the CPU."""

    def __init__(
        self, network: Network, record: ModelRecord, options: DetectorOptions, *, sha256: str
    ) -> None:
        super().__init__(record, options, sha256=sha256)
        self._network = network
        self._batch = WorkingBatch(colour="RGB")

    def _detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
        batch, size = self._batch.fill(pictures_bgr, max_side=self.options.max_side)
        heat, sizes, offsets, landmarks = self._network.run(batch)
        return [
            decode(
                heat[index, 0],
                sizes[index],
                offsets[index],
                landmarks[index],
                size=size,
                options=self.options,
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
    """Decode the faces of one picture, in its pixels.

    Args:
        heat: (h, w) scores 0..1.
        sizes: (2, h, w) logarithms of the box's height and width, in cells.
        offsets: (2, h, w) offset (y, x) of the centre from its cell, in cells.
        landmarks: (10, h, w) five points (y, x) from the box's corner, in units of its size.
        size: how the picture lies in the network's input.
        options: thresholds.
    """
    rows, columns = np.nonzero(heat >= options.min_score)  # (k,) each
    log_sizes = np.minimum(sizes[:, rows, columns], MAX_LOG_SIZE)  # (2, k)
    height, width = np.exp(log_sizes) * STRIDE
    top = (rows + offsets[0, rows, columns] + 0.5) * STRIDE - height / 2
    left = (columns + offsets[1, rows, columns] + 0.5) * STRIDE - width / 2
    points_y, points_x = landmarks[:, rows, columns].reshape(LANDMARKS, 2, -1).transpose(1, 2, 0)
    points_xy = np.stack(
        [points_x * width[:, None] + left[:, None], points_y * height[:, None] + top[:, None]],
        axis=-1,
    )  # (k, 5, 2)
    return best_faces(
        heat[rows, columns],
        np.stack([left, top, left + width, top + height], axis=1),
        points_xy,
        size=size,
        options=options,
    )
