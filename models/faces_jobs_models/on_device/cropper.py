"""Crops cut where the frames are, of the one geometry of `faces_jobs.pipeline.crops`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from faces_jobs.pipeline.crops import squares_around
from faces_jobs.pipeline.values import Boxes, Picture
from faces_jobs_models.on_device.pictures import DevicePictures
from faces_jobs_models.on_device.shrinking import area_weights

# Weights of a crop are (64, width) and (64, height) floats: 0.5 MB in all at 720p.
_MOST_AT_ONCE = 64


class DeviceCropper:
    """Cuts faces out of frames on the device. Implements `Cropper`.

    The crops come back as pictures, 12 kB each, and stay there for the classifiers.
    """

    def __init__(self, pictures: DevicePictures) -> None:
        self._pictures = pictures

    @torch.inference_mode()
    def __call__(
        self,
        pictures_bgr: Sequence[Picture],
        boxes_xyxy: Sequence[Boxes],
        *,
        scale: float,
        size: int,
    ) -> list[Picture]:
        """The crops of each picture's boxes, (size, size, 3) uint8 BGR, picture by picture."""
        frames = self._pictures.of(pictures_bgr)
        squares = [
            squares_around(boxes, frame.shape[1], frame.shape[0], scale=scale)
            for frame, boxes in zip(frames, boxes_xyxy, strict=True)
        ]
        crops: list[Tensor] = []
        for _, group in groupby(zip(frames, squares, strict=True), key=lambda one: one[0].shape):
            of_one_size = list(group)
            some, theirs = [one[0] for one in of_one_size], [one[1] for one in of_one_size]
            crops += _cut_all(some, theirs, size)
        if not crops:
            return []
        on_device = torch.cat(crops).round().clamp(0, 255).to(torch.uint8)
        pictures = [np.array(crop) for crop in on_device.cpu().numpy()]
        for picture, copy in zip(pictures, on_device, strict=True):
            self._pictures.keep(picture, copy)
        return pictures


def _cut_all(
    frames: Sequence[Tensor], squares: Sequence[Sequence[tuple[int, int, int]]], size: int
) -> Iterator[Tensor]:
    """The crops of frames of one size, some at a time: (n, size, size, 3) float32."""
    height, width = frames[0].shape[:2]
    together = np.array([one for of_frame in squares for one in of_frame], np.float32)
    owners = np.repeat(np.arange(len(frames)), [len(of_frame) for of_frame in squares])
    if not len(owners):
        return
    places = torch.from_numpy(together).to(frames[0].device)
    for start in range(0, len(owners), _MOST_AT_ONCE):
        # Weights of many frames' faces at once: to launch the work takes longer than to do it.
        left, top, side = places[start : start + _MOST_AT_ONCE].T
        down = area_weights(top, side, height, size)  # (n, size, height)
        across = area_weights(left, side, width, size)  # (n, size, width)
        some = owners[start : start + _MOST_AT_ONCE]
        for owner in np.unique(some):
            first, end = np.searchsorted(some, [owner, owner + 1])
            # One product for all faces of the frame: rows first, which leaves the fewer numbers.
            rows = torch.einsum("nsh,hwc->nswc", down[first:end], frames[owner].float())
            yield torch.einsum("nswc,ntw->nstc", rows, across[first:end])
