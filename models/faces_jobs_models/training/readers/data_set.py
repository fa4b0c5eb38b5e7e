"""Data sets as readers return them: labelled faces, or pictures with annotated faces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Boxes
from faces_jobs_models.training.readers.samples import Sample

HELD_OUT_SHARE = 0.15

Skipped = Counter[str]
"""Reason -> number of pictures, or of single labels, that were skipped."""


_MAX_REASONS = 30


def describe_skipped(skipped: Skipped) -> list[str]:
    """Return a line for each reason; the rarest share one if there are very many.

    A column of free text where labels are expected would give a reason for each row.
    """
    counted = {reason: count for reason, count in skipped.items() if count}
    named = {reason for reason, _ in Counter(counted).most_common(_MAX_REASONS)}
    lines = [f"skipped: {count} x {reason}" for reason, count in counted.items() if reason in named]
    others = [count for reason, count in counted.items() if reason not in named]
    if others:
        lines.append(f"skipped: {sum(others)} x {len(others)} other reasons")
    return lines


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """Labelled faces in one layout. Samples are read lazily, again in each iteration.

    Attributes:
        name: by which recipes and figures refer to it.
        layout: the layout that was recognised.
        path: file or folder that it is read from.
        row_count: number of rows, if known before reading. It includes rows that yield no sample.
        read: returns a new iterator over the samples.
        own_folders: names of the folders in `path` that belong to the set; folders next to them may
            hold other sets.
        extra_files: files outside of `path` that it is also read from.
    """

    name: str
    layout: str
    path: Path
    row_count: int | None
    read: Callable[[], Iterator[Sample]]
    own_folders: frozenset[str] = frozenset()
    extra_files: tuple[Path, ...] = ()

    def __iter__(self) -> Iterator[Sample]:
        """Iterate over the samples, always in the same order."""
        return self.read()


@dataclass(frozen=True, slots=True, eq=False)
class DetectionSample:
    """A picture with annotated faces.

    `boxes_xyxy` (n, 4) float32 in pixels of the picture; `ignore` (n,) bool: detections of these
    boxes count neither as correct nor as wrong.
    """

    image: bytes  # encoded
    boxes_xyxy: Boxes
    ignore: NDArray[np.bool_]
    held_out: bool


@dataclass(frozen=True, slots=True, eq=False)
class DetectionSet:
    """Pictures with annotated faces in one layout, read lazily like a `DataSet`."""

    name: str
    layout: str
    path: Path
    row_count: int | None
    read: Callable[[], Iterator[DetectionSample]]
    own_folders: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[DetectionSample]:
        """Iterate over the pictures, always in the same order."""
        return self.read()
