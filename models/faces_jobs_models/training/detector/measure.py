"""Measures the run-time detector on pictures with marked faces."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypedDict

from faces_jobs.pipeline.stages import Detector
from faces_jobs_models.training.answers import Advance, decode
from faces_jobs_models.training.detector.marked_pictures import MarkedPicture
from faces_jobs_models.training.detector.precision import (
    OVERLAP,
    Seen,
    at_threshold,
    average_precision,
    face_count,
)
from faces_jobs_models.training.draws import draw
from faces_jobs_models.training.entries import Weights
from faces_jobs_models.training.tables import markdown_table, percent

LOWEST_HEIGHT = 20.0  # pixels: lower faces are ignored
_BANDS = ((20.0, 32.0), (32.0, 64.0), (64.0, 128.0), (128.0, math.inf))


class DetectorSlice(TypedDict):
    """Faces of one band of heights; `recall` at the entry's threshold."""

    n: int
    average_precision: float
    recall: float


class DetectorEntry(TypedDict):
    """A detector on one data set; `n` counts faces of 20 pixels and higher. Shares are 0..1.

    A detector gives no labels: the four keys of a classifier's entry that speak of them are null
    or empty. Its figure is `average_precision`, at an overlap of 0.5. `recall` and `precision`
    are those at `threshold`, a job's default.
    """

    model: str
    version: str
    weights: Weights
    head: str
    dataset: str
    n: int
    pictures: int
    accuracy: None
    balanced_accuracy: None
    per_class: dict[str, float]
    per_class_n: dict[str, int]
    average_precision: float
    overlap: float
    threshold: float
    recall: float
    precision: float | None
    by: dict[str, dict[str, DetectorSlice]]
    skipped: dict[str, int]


def look_at(
    pictures: Iterable[MarkedPicture],
    detector: Detector,
    *,
    limit: int | None,
    max_pixels: int,
    skipped: Counter[str],
    advance: Advance,
) -> list[Seen]:
    """What the detector finds in each picture, beside what is marked there.

    Args:
        pictures: the data set.
        detector: the run-time one.
        limit: look at so many, drawn evenly.
        max_pixels: larger ones are left out.
        skipped: counts what was left out, by reason.
        advance: told of progress.
    """
    seen = []
    for one in pictures if limit is None else draw(pictures, limit):
        picture = decode(one.image, max_pixels=max_pixels, skipped=skipped)
        advance(1)
        if picture is None:
            continue
        (found,) = detector.detect([picture])
        seen.append(Seen(found.boxes_xyxy, found.scores, one.faces_xyxy, one.ignored))
    return seen


def detector_entry(
    seen: Sequence[Seen],
    *,
    data_set: str,
    version: str,
    weights: Weights,
    threshold: float,
    skipped: Counter[str],
) -> DetectorEntry:
    """The figures of a detector.

    Raises:
        ValueError: no face of 20 pixels or more is marked.
    """
    heights = (LOWEST_HEIGHT, math.inf)
    chosen = at_threshold(seen, threshold, heights=heights)
    return DetectorEntry(
        model="detector",
        version=version,
        weights=weights,
        head="face",
        dataset=data_set,
        n=face_count(seen, heights=heights),
        pictures=len(seen),
        accuracy=None,
        balanced_accuracy=None,
        per_class={},
        per_class_n={},
        average_precision=_rounded(average_precision(seen, heights=heights)),
        overlap=OVERLAP,
        threshold=threshold,
        recall=_rounded(chosen.recall),
        precision=None if math.isnan(chosen.precision) else _rounded(chosen.precision),
        by={
            "size_px": {
                f"{low:.0f}+" if high == math.inf else f"{low:.0f}-{high - 1:.0f}": DetectorSlice(
                    n=n,
                    average_precision=_rounded(average_precision(seen, heights=(low, high))),
                    recall=_rounded(at_threshold(seen, threshold, heights=(low, high)).recall),
                )
                for low, high in _BANDS
                if (n := face_count(seen, heights=(low, high)))
            }
        },
        skipped={reason: count for reason, count in skipped.items() if count},
    )


def detector_tables(entries: Sequence[DetectorEntry]) -> str:
    """The entries as Markdown, as `tables_of` does it for classifiers."""
    figures = markdown_table(
        ("data set", "pictures", "faces", "average precision", "threshold", "recall", "precision"),
        [
            (
                entry["dataset"],
                str(entry["pictures"]),
                str(entry["n"]),
                percent(entry["average_precision"]),
                f"{entry['threshold']:.2f}",
                percent(entry["recall"]),
                percent(entry["precision"]),
            )
            for entry in entries
        ],
    )
    sizes = markdown_table(
        ("data set", "height of the face, px", "faces", "average precision", "recall"),
        [
            (
                entry["dataset"],
                band,
                str(one["n"]),
                percent(one["average_precision"]),
                percent(one["recall"]),
            )
            for entry in entries
            for band, one in entry["by"]["size_px"].items()
        ],
    )
    return f"### Detection\n\n{figures}\n### Detection by height of the face\n\n{sizes}"


def _rounded(value: float) -> float:
    return round(float(value), 4)
