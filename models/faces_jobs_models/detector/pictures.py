"""Validates the pictures that a detector is called with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faces_jobs.pipeline.values import Picture


def check_pictures(pictures_bgr: Sequence[Picture]) -> None:
    """Check that pictures can be processed as one batch.

    Raises:
        ValueError: the pictures differ in size, are not BGR uint8, or are empty.
    """
    shape = pictures_bgr[0].shape
    for picture in pictures_bgr:
        if picture.shape != shape or picture.dtype != np.uint8:
            raise ValueError(
                "the pictures of one call must be uint8 and have the same shape; "
                f"got {picture.dtype} {picture.shape} and {shape}"
            )
    if len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ValueError(f"a picture must be a non-empty (height, width, 3) BGR; got {shape}")
