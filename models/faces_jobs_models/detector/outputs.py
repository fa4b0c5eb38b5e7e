"""Names, order and strides of a grid detector's outputs."""

from __future__ import annotations

STRIDES = (8, 16, 32)
LANDMARKS = 5
SIZE_MULTIPLE = STRIDES[-1]  # sides of the network's input are multiples of the coarsest stride
OUTPUT_NAMES = tuple(
    f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in STRIDES
)
"""The network's outputs in order; each is (n, cells, channels), cells row by row."""
