"""CenterFace: its outputs decoded, its input prepared; written from the paper.

Xu, Yan, Yang, Sun, Wang, Li: "CenterFace: Joint Face Detection and Alignment Using Face as
Point", arXiv:1911.03599. A face is a peak of a heatmap at a quarter of the input's resolution;
three more maps say how high and wide its box is (as logarithms), where inside the cell its
centre lies, and where five landmarks lie inside the box.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Detections, Picture
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.detector.pictures import check_pictures
from faces_jobs_models.detector.suppression import keep_best
from faces_jobs_models.weights import ModelRecord

STRIDE = 4  # pixels of input a cell of the heatmap stands for
MULTIPLE = 32  # the network halves its input five times
Maps = Sequence[NDArray[np.float32]]


class Network(Protocol):
    """The network without its pre- and post-processing."""

    def run(self, batch: NDArray[np.float32]) -> Maps:
        """(n, 3, h, w) float32 to one array an output, in the order of the file."""


class CenterFaceDetector:
    """Finds faces in batches of pictures of one size. Implements `Detector`."""

    def __init__(
        self, network: Network, record: ModelRecord, options: DetectorOptions | None = None
    ) -> None:
        self._network = network
        self._record = record
        self._options = options or DetectorOptions()

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
        return self._record.files["onnx"].sha256

    def detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
        """Find the faces of each picture.

        Args:
            pictures_bgr: (height, width, 3) uint8 each, all of one size.

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
            found.extend(self._run(pictures_bgr[start : start + step]))
        return found

    def _run(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
        height, width = pictures_bgr[0].shape[:2]
        batch, scale_xy = prepare(pictures_bgr, self._options.longest_side)
        heat, sizes, offsets, landmarks = self._network.run(batch)
        return [
            decode(
                heat[index, 0],
                sizes[index],
                offsets[index],
                landmarks[index],
                scale_xy=scale_xy,
                size_wh=(width, height),
                options=self._options,
            )
            for index in range(len(pictures_bgr))
        ]


def prepare(
    pictures_bgr: Sequence[Picture], longest_side: int
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Pictures of one size to the network's input: shrunk to fit, padded with black, RGB 0..255.

    Returns:
        (n, 3, h, w) float32 with h and w multiples of 32, and how many pixels of it one pixel
        of the picture is, across and down (they differ by rounding).
    """
    height, width = pictures_bgr[0].shape[:2]
    ratio = min(1.0, longest_side / max(height, width))
    inner_h, inner_w = max(1, round(height * ratio)), max(1, round(width * ratio))
    outer_h, outer_w = (math.ceil(side / MULTIPLE) * MULTIPLE for side in (inner_h, inner_w))
    batch = np.zeros((len(pictures_bgr), 3, outer_h, outer_w), np.float32)
    for index, picture in enumerate(pictures_bgr):
        inner = (
            cv2.resize(picture, (inner_w, inner_h), interpolation=cv2.INTER_AREA)
            if ratio < 1
            else picture
        )
        batch[index, :, :inner_h, :inner_w] = inner[:, :, ::-1].transpose(2, 0, 1)
    return batch, (inner_w / width, inner_h / height)


def decode(
    heat: NDArray[np.float32],
    sizes: NDArray[np.float32],
    offsets: NDArray[np.float32],
    landmarks: NDArray[np.float32],
    *,
    scale_xy: tuple[float, float],
    size_wh: tuple[int, int],
    options: DetectorOptions,
) -> Detections:
    """Maps of one picture to boxes in its own pixels.

    Args:
        heat: (h, w) scores 0..1.
        sizes: (2, h, w) logarithms of box height and width, in cells.
        offsets: (2, h, w) where in its cell the centre lies, down and across.
        landmarks: (10, h, w) five points as (down, across) in units of the box from its corner.
        scale_xy: pixels of the network's input in one pixel of the picture.
        size_wh: width and height of the picture.
        options: thresholds.
    """
    rows, columns = np.nonzero(heat > options.lowest_score)
    scores = heat[rows, columns]
    if len(scores) > options.most_faces * 4:
        # A noisy picture at the lowest threshold: suppression needs only the best of it.
        best = np.argsort(-scores, kind="stable")[: options.most_faces * 4]
        rows, columns, scores = rows[best], columns[best], scores[best]
    height = np.exp(sizes[0, rows, columns]) * STRIDE
    width = np.exp(sizes[1, rows, columns]) * STRIDE
    top = (rows + offsets[0, rows, columns] + 0.5) * STRIDE - height / 2
    left = (columns + offsets[1, rows, columns] + 0.5) * STRIDE - width / 2
    points = landmarks[:, rows, columns].reshape(5, 2, -1)  # (5, down and across, n)
    points_xy = np.stack([points[:, 1] * width + left, points[:, 0] * height + top], axis=-1)
    boxes = np.stack([left, top, left + width, top + height], axis=1) / (scale_xy * 2)
    limit = np.asarray(size_wh * 2, np.float64)
    boxes_xyxy = np.clip(boxes, 0, limit).astype(np.float32)
    whole = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2] >= 1).all(axis=1)
    kept = keep_best(boxes_xyxy[whole], scores[whole], overlap=options.overlap)
    chosen = np.nonzero(whole)[0][kept[: options.most_faces]]
    return Detections(
        boxes_xyxy=boxes_xyxy[chosen],
        scores=scores[chosen].astype(np.float32),
        landmarks=(points_xy.transpose(1, 0, 2)[chosen] / scale_xy).astype(np.float32),
    )
