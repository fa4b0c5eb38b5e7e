"""What a reader gives: named sets of labelled faces, or of pictures with marked faces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Boxes
from faces_jobs_models.training.samples import Sample

HELD_OUT_SHARE = 0.15

Skipped = Counter[str]
"""Why pictures, or single labels of them, were left out, and how many."""


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """Labelled faces in one layout. Its samples are read lazily, anew in each iteration.

    `name` is what recipes and figures call it; `row_count` the number of rows where it is known before
    they are read, those included that will give no sample; `takes` names the folders that are
    the set's own: other sets may lie in those beside them. `beside` are files outside of `path`
    that it is read from as well.
    """

    name: str
    layout: str
    path: Path
    row_count: int | None
    read: Callable[[], Iterator[Sample]]
    own_folders: frozenset[str] = frozenset()
    extra_files: tuple[Path, ...] = ()

    def __iter__(self) -> Iterator[Sample]:
        """Its samples, in an order that does not change."""
        return self.read()


@dataclass(frozen=True, slots=True, eq=False)
class DetectionSample:
    """A picture with its faces marked.

    `boxes_xyxy` (n, 4) float32 pixels of the picture; `ignore` (n,) bool marks those that are
    neither to be found nor wrong when they are.
    """

    image: bytes  # encoded
    boxes_xyxy: Boxes
    ignore: NDArray[np.bool_]
    held_out: bool


@dataclass(frozen=True, slots=True, eq=False)
class DetectionSet:
    """Pictures with marked faces in one layout, read lazily like a `DataSet`."""

    name: str
    layout: str
    path: Path
    row_count: int | None
    read: Callable[[], Iterator[DetectionSample]]
    own_folders: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[DetectionSample]:
        """Its pictures, in an order that does not change."""
        return self.read()
