"""Crops cut where the frames are, of the one geometry of `faces_jobs.pipeline.crops`."""

from __future__ import annotations

from collections.abc import Sequence

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
        crops = [torch.zeros(0, size, size, 3, dtype=torch.uint8)]
        frames = self._pictures.of(pictures_bgr)
        for frame, boxes in zip(frames, boxes_xyxy, strict=True):
            height, width = frame.shape[:2]
            squares = squares_around(boxes, width, height, scale=scale)
            crops += [
                _cut(frame, squares[start : start + _MOST_AT_ONCE], size)
                for start in range(0, len(squares), _MOST_AT_ONCE)
            ]
        on_device = torch.cat(crops[1:] or crops)
        pictures = [np.array(crop) for crop in on_device.cpu().numpy()]
        for picture, copy in zip(pictures, on_device, strict=True):
            self._pictures.keep(picture, copy)
        return pictures


def _cut(frame: Tensor, squares: Sequence[tuple[int, int, int]], size: int) -> Tensor:
    height, width = frame.shape[:2]
    left, top, side = torch.from_numpy(np.asarray(squares, np.float32)).to(frame.device).T
    down = area_weights(top, side, height, size)  # (n, size, height)
    across = area_weights(left, side, width, size)  # (n, size, width)
    # One product for all faces of the frame: rows first, which leaves the fewer numbers.
    rows = torch.einsum("nsh,hwc->nswc", down, frame.float())
    crops = torch.einsum("nswc,ntw->nstc", rows, across)
    return crops.round().clamp(0, 255).to(torch.uint8)
