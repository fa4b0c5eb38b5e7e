"""Prepares pictures as a network's input: resized, padded, channels first, in reused buffers."""

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
    """How a picture of `width` x `height` pixels lies in the network's input."""

    width: int
    height: int
    resized_width: int  # of the resized picture, which lies at the top left
    resized_height: int
    padded_width: int  # of the input, padded to a multiple of the coarsest stride
    padded_height: int

    @classmethod
    def of(cls, width: int, height: int, *, max_side: int) -> Self:
        """Downscale so that the longer side is at most `max_side`; never upscale."""
        ratio = min(1.0, max_side / max(height, width))
        resized_w, resized_h = max(1, round(width * ratio)), max(1, round(height * ratio))
        padded_w, padded_h = (
            math.ceil(side / SIZE_MULTIPLE) * SIZE_MULTIPLE for side in (resized_w, resized_h)
        )
        return cls(width, height, resized_w, resized_h, padded_w, padded_h)

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Pixels of the input per pixel of the picture; x and y differ by rounding."""
        return self.resized_width / self.width, self.resized_height / self.height


class WorkingBatch:
    """Fills the network's input. Each thread has its own buffers, which every call overwrites.

    Allocating an array for each frame would cost more than filling it: 3 MB of new pages at
    640 x 384.
    """

    def __init__(self, *, colour: Literal["BGR", "RGB"] = "BGR") -> None:
        """`colour` is the order of channels that the network was trained with."""
        self._channel_step = 1 if colour == "BGR" else -1
        self._local = threading.local()

    def fill(
        self, pictures_bgr: Sequence[Picture], *, max_side: int
    ) -> tuple[NDArray[np.float32], WorkingSize]:
        """Return pictures of one size as (n, 3, h, w) float32 0..255, padded with zeros.

        `max_side` is the longest side of a resized picture, without padding. The array is valid
        until the next call in this thread.
        """
        height, width = pictures_bgr[0].shape[:2]
        size = WorkingSize.of(width, height, max_side=max_side)
        batch, planes = self._buffers(len(pictures_bgr), size)
        resized_wh = size.resized_width, size.resized_height
        for index, picture in enumerate(pictures_bgr):
            resized = picture
            if resized_wh != (width, height):
                resized = np.asarray(
                    cv2.resize(picture, resized_wh, interpolation=cv2.INTER_AREA), np.uint8
                )
            # Split as bytes first: three times as fast as numpy's transposing conversion.
            cv2.split(resized, planes)
            for channel, plane in enumerate(planes[:: self._channel_step]):
                batch[index, channel, : resized_wh[1], : resized_wh[0]] = plane
        return batch, size

    def _buffers(
        self, count: int, size: WorkingSize
    ) -> tuple[NDArray[np.float32], list[NDArray[np.uint8]]]:
        local = self._local
        if getattr(local, "buffers_for", None) != (count, size):
            # The padding is zeroed only here: it is never written while the size stays the same.
            local.batch = np.zeros((count, 3, size.padded_height, size.padded_width), np.float32)
            local.planes = [
                np.empty((size.resized_height, size.resized_width), np.uint8) for _ in range(3)
            ]
            local.buffers_for = count, size
        return local.batch, local.planes
