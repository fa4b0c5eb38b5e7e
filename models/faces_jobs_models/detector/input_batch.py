"""Frames to a network's input: shrunk, padded, channels apart; buffers are kept between calls."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Picture
from faces_jobs_models.detector.outputs import SIZE_MULTIPLE


@dataclass(frozen=True, slots=True)
class WorkingSize:
    """How a picture of `width` x `height` lies in the network's input."""

    width: int
    height: int
    resized_width: int  # of the shrunk picture, which lies at the top left
    resized_height: int
    padded_width: int  # of the input, padded to a multiple of the coarsest stride
    padded_height: int

    @classmethod
    def of(cls, width: int, height: int, *, max_side: int) -> Self:
        """Shrunk so that the longer side is at most `max_side`; never enlarged."""
        ratio = min(1.0, max_side / max(height, width))
        inner_w, inner_h = max(1, round(width * ratio)), max(1, round(height * ratio))
        outer_w, outer_h = (
            math.ceil(side / SIZE_MULTIPLE) * SIZE_MULTIPLE for side in (inner_w, inner_h)
        )
        return cls(width, height, inner_w, inner_h, outer_w, outer_h)

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Pixels of the input in one pixel of the picture; they differ by rounding."""
        return self.resized_width / self.width, self.resized_height / self.height


class WorkingBatch:
    """Fills the network's input. Each thread has its own buffers; their content is overwritten.

    A fresh array a frame would cost more than filling it: 3 MB of new pages at 640 x 384.
    """

    def __init__(self, max_side: int, *, colour: Literal["BGR", "RGB"] = "BGR") -> None:
        """`colour` is the order of channels that the network was trained with."""
        self._longest_side = max_side
        self._order = 1 if colour == "BGR" else -1
        self._kept = threading.local()

    def fill(self, pictures_bgr: Sequence[Picture]) -> tuple[NDArray[np.float32], WorkingSize]:
        """Pictures of one size to (n, 3, h, w) float32 0..255, black where there is none.

        The array is valid until the next call in this thread.
        """
        height, width = pictures_bgr[0].shape[:2]
        size = WorkingSize.of(width, height, max_side=self._longest_side)
        batch, planes = self._buffers(len(pictures_bgr), size)
        inner_wh = size.resized_width, size.resized_height
        for index, picture in enumerate(pictures_bgr):
            inner = picture
            if inner_wh != (width, height):
                inner = np.asarray(
                    cv2.resize(picture, inner_wh, interpolation=cv2.INTER_AREA), np.uint8
                )
            # Apart as bytes first: three times as fast as numpy's transposing conversion.
            cv2.split(inner, planes)
            for channel, plane in enumerate(planes[:: self._order]):
                batch[index, channel, : inner_wh[1], : inner_wh[0]] = plane
        return batch, size

    def _buffers(
        self, count: int, size: WorkingSize
    ) -> tuple[NDArray[np.float32], list[NDArray[np.uint8]]]:
        kept = self._kept
        if getattr(kept, "made_for", None) != (count, size):
            # Zeros once: the padding is never written, and pictures of one size cover the same.
            kept.batch = np.zeros((count, 3, size.padded_height, size.padded_width), np.float32)
            kept.planes = [
                np.empty((size.resized_height, size.resized_width), np.uint8) for _ in range(3)
            ]
            kept.made_for = count, size
        return kept.batch, kept.planes
