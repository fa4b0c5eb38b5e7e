"""An even draw of some rows from many, the same each time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np

_SEED = 20260101

Row = TypeVar("Row")


def subsample(rows: Iterable[Row], count: int) -> list[Row]:
    """At most `count` of the rows, each as likely as any other, in their own order.

    Data sets are sorted, so that their first rows are of one kind. A reservoir (Vitter's
    algorithm R) is kept, since nobody knows how many rows are to come.
    """
    random = np.random.default_rng(_SEED)
    kept: list[tuple[int, Row]] = []
    for index, row in enumerate(rows):
        if index < count:
            kept.append((index, row))
        elif (place := int(random.integers(0, index + 1))) < count:
            kept[place] = (index, row)
    return [row for _, row in sorted(kept, key=lambda pair: pair[0])]
