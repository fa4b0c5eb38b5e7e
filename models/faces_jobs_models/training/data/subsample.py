"""Uniform random sampling of some rows from a stream, reproducible by a fixed seed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np

_SEED = 20260101

Row = TypeVar("Row")


def subsample(rows: Iterable[Row], count: int) -> list[Row]:
    """Sample at most `count` rows uniformly without replacement, and keep their order.

    The first rows would not do, since data sets are sorted. The number of rows is not known in
    advance, so a reservoir is kept (Vitter's algorithm R).
    """
    rng = np.random.default_rng(_SEED)
    reservoir: list[tuple[int, Row]] = []
    for index, row in enumerate(rows):
        if index < count:
            reservoir.append((index, row))
        elif (slot := int(rng.integers(0, index + 1))) < count:
            reservoir[slot] = (index, row)
    return [row for _, row in sorted(reservoir, key=lambda pair: pair[0])]
