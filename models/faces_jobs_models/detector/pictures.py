"""Checks the pictures of one call: uint8 BGR, of one size, with pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faces_jobs.pipeline.values import Picture


def check_pictures(pictures_bgr: Sequence[Picture]) -> None:
    """Refuse what is no batch of frames.

    Raises:
        ValueError: the pictures differ in size, are not BGR uint8, or hold no pixel.
    """
    shape = pictures_bgr[0].shape
    for picture in pictures_bgr:
        if picture.shape != shape or picture.dtype != np.uint8:
            raise ValueError(
                "the pictures of one call must be uint8 and of one size; "
                f"got {picture.dtype} {picture.shape} beside {shape}"
            )
    if len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ValueError(f"a picture must be (height, width, 3) BGR with pixels; got {shape}")
