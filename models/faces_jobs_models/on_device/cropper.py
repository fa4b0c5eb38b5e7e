"""Crops faces on the device, with the geometry of `faces_jobs.pipeline.crops`."""

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

# Pixels of the crops that are resampled together, each counted as the largest: 50 MB as floats.
_MAX_PIXELS = 1 << 22

_Ints = NDArray[np.int64]


class DeviceCropper:
    """Crops faces from frames on the device. Implements `Cropper`.

    The crops are copied back as pictures of 12 kB, and stay on the device for the classifiers.
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
        """Return the crops of each picture's boxes, picture by picture: (size, size, 3) uint8."""
        frames = self._pictures.copies_of(pictures_bgr)
        squares = [
            np.array(squares_around(boxes, frame.shape[1], frame.shape[0], scale=scale), np.int64)
            for frame, boxes in zip(frames, boxes_xyxy, strict=True)
        ]
        with_faces = [pair for pair in zip(frames, squares, strict=True) if len(pair[1])]
        crops: list[Tensor] = []
        for _, group in groupby(with_faces, key=lambda pair: pair[0].shape):
            same_size, their_squares = zip(*group, strict=True)
            owners = np.repeat(np.arange(len(same_size)), [len(of) for of in their_squares])
            crops.append(
                _crop_all(torch.stack(same_size), owners, np.concatenate(their_squares), size)
            )
        if not crops:
            return []
        on_device = torch.cat(crops).round().clamp(0, 255).to(torch.uint8)
        pictures = [np.array(crop) for crop in on_device.cpu().numpy()]
        for picture, copy in zip(pictures, on_device, strict=True):
            self._pictures.add(picture, copy)
        return pictures


def _crop_all(frames: Tensor, owners: _Ints, squares: _Ints, size: int) -> Tensor:
    """Crop frames of one size.

    Args:
        frames: (k, h, w, 3) uint8.
        owners: (n,) index of each crop's frame.
        squares: (n, 3) left, top and side of each crop in pixels; may extend outside the frame.
        size: of the crops.

    Returns:
        (n, size, size, 3) float32.
    """
    device, (height, width) = frames.device, frames.shape[1:3]
    order = squares[:, 2].argsort(kind="stable")  # squares of similar side are resampled together
    sides = squares[order, 2]
    rows = torch.from_numpy(np.column_stack([owners, squares])[order]).to(device)
    crops = []
    for start, end in pairwise(_group_bounds(sides)):
        owner, left, top, side = rows[start:end].T
        max_side = int(sides[end - 1])
        step = torch.arange(max_side, device=device)
        # Pixels outside the frame repeat its border; those beyond a crop's own side get weight 0.
        x = (left[:, None] + step).clamp(0, width - 1)
        y = (top[:, None] + step).clamp(0, height - 1)
        patches = frames[
            owner[:, None, None], y[:, :, None], x[:, None, :]
        ]  # (n, max_side, max_side, 3)
        weights = area_weights(torch.zeros_like(side), side, max_side, size)  # (n, size, max_side)
        # Rows first, so that the intermediate tensor is the smaller one.
        resized_rows = torch.einsum("nsh,nhwc->nswc", weights, patches.float())
        crops.append(torch.einsum("nswc,ntw->nstc", resized_rows, weights))
    return torch.cat(crops)[torch.from_numpy(order.argsort()).to(device)]


def _group_bounds(sides: _Ints) -> list[int]:
    """Split ascending sides into groups of at most `_MAX_PIXELS`, padded to the largest side."""
    bounds = [0]
    for index, side in enumerate(sides.tolist()):
        if index > bounds[-1] and (index + 1 - bounds[-1]) * side**2 > _MAX_PIXELS:
            bounds.append(index)
    return [*bounds, len(sides)]
