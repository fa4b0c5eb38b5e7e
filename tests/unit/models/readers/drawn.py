"""Writes drawn faces as picture files, and opens the data set at a path."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from faces_jobs.jobs.labels import HEADS
from faces_jobs_models.training.label_choice import LabelChoice
from faces_jobs_models.training.readers import DataSet, open_data
from faces_jobs_models.training.readers.samples import Sample
from tests.unit.models.packs import drawn_face


def write_face(path: Path, index: int = 0, *, side: int = 48) -> None:
    """Write a drawn face in the format of the file's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = cv2.imdecode(np.frombuffer(drawn_face(index, side=side), np.uint8), 1)
    assert picture is not None
    assert cv2.imwrite(str(path), picture)


def open_only_set(
    path: Path, labels: LabelChoice = "ferplus"
) -> tuple[DataSet, list[Sample], Counter[str]]:
    """Open the only data set at `path`; return it, its samples, and what was skipped."""
    skipped: Counter[str] = Counter()
    (one,) = open_data(path, labels=labels, skipped=skipped)
    return one, list(one), skipped


def true_labels(samples: list[Sample], head: str) -> list[str | None]:
    """Return the true label of each sample, or None where it is unknown."""
    return [HEADS[head][sample.truth[head]] if head in sample.truth else None for sample in samples]
