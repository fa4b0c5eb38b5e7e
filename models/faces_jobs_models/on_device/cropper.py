"""Crops cut where the frames are, of the one geometry of `faces_jobs.pipeline.crops`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faces_jobs.pipeline.crops import squares_around
from faces_jobs.pipeline.values import Boxes, Picture
from faces_jobs_models.on_device.area_resize import area_weights
from faces_jobs_models.on_device.pictures import DevicePictures

# Cut together, times the pixels of the largest: 50 MB as floats.
_MOST_PIXELS = 1 << 22

_Numbers = NDArray[np.int64]


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
        frames = self._pictures.copies_of(pictures_bgr)
        squares = [
            np.array(squares_around(boxes, frame.shape[1], frame.shape[0], scale=scale), np.int64)
            for frame, boxes in zip(frames, boxes_xyxy, strict=True)
        ]
        of_frames = [(frame, of) for frame, of in zip(frames, squares, strict=True) if len(of)]
        crops: list[Tensor] = []
        for _, group in groupby(of_frames, key=lambda one: one[0].shape):
            some, theirs = zip(*group, strict=True)
            owners = np.repeat(np.arange(len(some)), [len(of) for of in theirs])
            crops.append(_cut_all(torch.stack(some), owners, np.concatenate(theirs), size))
        if not crops:
            return []
        on_device = torch.cat(crops).round().clamp(0, 255).to(torch.uint8)
        pictures = [np.array(crop) for crop in on_device.cpu().numpy()]
        for picture, copy in zip(pictures, on_device, strict=True):
            self._pictures.add(picture, copy)
        return pictures


def _cut_all(frames: Tensor, owners: _Numbers, squares: _Numbers, size: int) -> Tensor:
    """The crops of frames of one size: (n, size, size, 3) float32.

    Args:
        frames: (k, h, w, 3) uint8.
        owners: (n,) the frame of each crop.
        squares: (n, 3) left, top and side of each, in pixels; may reach out of the frame.
        size: of the crops.
    """
    device, (height, width) = frames.device, frames.shape[1:3]
    order = squares[:, 2].argsort(kind="stable")  # those of like sides are cut together
    sides = squares[order, 2]
    places = torch.from_numpy(np.column_stack([owners, squares])[order]).to(device)
    crops = []
    for start, end in pairwise(_ends(sides)):
        owner, left, top, side = places[start:end].T
        most = int(sides[end - 1])
        step = torch.arange(most, device=device)
        # What lies outside repeats the border; what lies beyond a crop's own side weighs nothing.
        across = (left[:, None] + step).clamp(0, width - 1)
        down = (top[:, None] + step).clamp(0, height - 1)
        patches = frames[owner[:, None, None], down[:, :, None], across[:, None, :]]
        weights = area_weights(torch.zeros_like(side), side, most, size)  # (n, size, most)
        # Rows first, which leaves the fewer numbers.
        shrunk = torch.einsum("nsh,nhwc->nswc", weights, patches.float())
        crops.append(torch.einsum("nswc,ntw->nstc", shrunk, weights))
    return torch.cat(crops)[torch.from_numpy(order.argsort()).to(device)]


def _ends(sides: _Numbers) -> list[int]:
    """Where to divide squares, from small to large: each then takes as much as its last one."""
    ends = [0]
    for index, side in enumerate(sides.tolist()):
        if index > ends[-1] and (index + 1 - ends[-1]) * side**2 > _MOST_PIXELS:
            ends.append(index)
    return [*ends, len(sides)]
