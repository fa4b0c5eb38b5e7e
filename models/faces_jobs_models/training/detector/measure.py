"""Evaluates the run-time detector on pictures with annotated faces."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from faces_jobs.pipeline.protocols import Detector
from faces_jobs_models.training.data.subsample import subsample
from faces_jobs_models.training.detector.precision import (
    MIN_IOU,
    DetectionResult,
    at_threshold,
    average_precision,
    face_count,
)
from faces_jobs_models.training.evaluation.entries import Weights
from faces_jobs_models.training.evaluation.predictions import Advance, Selection
from faces_jobs_models.training.evaluation.tables import markdown_table, percent
from faces_jobs_models.training.readers import DetectionSample
from faces_jobs_models.training.readers.decoding import decode

MIN_HEIGHT = 20.0  # pixels: smaller faces are ignored
_HEIGHTS = (MIN_HEIGHT, math.inf)
TRAINED_ON = "wider_faces"
_BANDS = ((20.0, 32.0), (32.0, 64.0), (64.0, 128.0), (128.0, math.inf))


class DetectorSlice(TypedDict):
    """Figures of faces in one band of heights; `recall` is at the entry's threshold."""

    n: int
    average_precision: float
    recall: float


class DetectorEntry(TypedDict):
    """Figures of a detector on one data set. Shares are 0..1.

    `n` counts faces of at least 20 pixels. A detector predicts no labels: the four keys of a
    classifier's entry about labels are null or empty. Its main figure is `average_precision`, at an
    IoU of 0.5. `recall` and `precision` are those at `threshold`, a job's default; `of_training`
    counts pictures.
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
    of_training: int
    skipped: dict[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class DetectorRun:
    """Detections in pictures, and the number of pictures that the detector was trained on."""

    pictures: Sequence[DetectionResult]
    of_training: int

    @property
    def face_count(self) -> int:
        """Number of annotated faces of at least `MIN_HEIGHT`."""
        return face_count(self.pictures, heights=_HEIGHTS)


def run_detector(
    samples: Iterable[DetectionSample],
    detector: Detector,
    *,
    selection: Selection,
    skipped: Counter[str],
    advance: Advance,
) -> DetectorRun:
    """Detect the faces in each picture, and keep them together with the annotated ones.

    Args:
        samples: the data set.
        detector: the run-time detector.
        selection: which pictures.
        skipped: counts what is left out, by reason.
        advance: called after each picture.
    """
    chosen: Iterable[DetectionSample] = (
        one
        for one in samples
        if one.held_out or not (selection.held_out_only and selection.trained_on)
    )
    pictures = []
    of_training = 0
    for one in chosen if selection.limit is None else subsample(chosen, selection.limit):
        picture = decode(one.image, max_pixels=selection.max_pixels, skipped=skipped)
        advance(1)
        if picture is None:
            continue
        (found,) = detector.detect([picture])
        pictures.append(DetectionResult(found.boxes_xyxy, found.scores, one.boxes_xyxy, one.ignore))
        of_training += selection.trained_on and not one.held_out
    return DetectorRun(pictures, of_training)


def detector_entry(
    run: DetectorRun,
    *,
    data_set: str,
    version: str,
    weights: Weights,
    threshold: float,
    skipped: Counter[str],
) -> DetectorEntry:
    """Compute the figures of a detector.

    Raises:
        ValueError: no face of at least 20 pixels is annotated.
    """
    pictures = run.pictures
    operating_point = at_threshold(pictures, threshold, heights=_HEIGHTS)
    return DetectorEntry(
        model="detector",
        version=version,
        weights=weights,
        head="face",
        dataset=data_set,
        n=run.face_count,
        pictures=len(pictures),
        accuracy=None,
        balanced_accuracy=None,
        per_class={},
        per_class_n={},
        average_precision=_rounded(average_precision(pictures, heights=_HEIGHTS)),
        overlap=MIN_IOU,
        threshold=threshold,
        recall=_rounded(operating_point.recall),
        precision=None
        if math.isnan(operating_point.precision)
        else _rounded(operating_point.precision),
        by={
            "size_px": {
                f"{low:.0f}+" if high == math.inf else f"{low:.0f}-{high - 1:.0f}": DetectorSlice(
                    n=n,
                    average_precision=_rounded(average_precision(pictures, heights=(low, high))),
                    recall=_rounded(at_threshold(pictures, threshold, heights=(low, high)).recall),
                )
                for low, high in _BANDS
                if (n := face_count(pictures, heights=(low, high)))
            }
        },
        of_training=run.of_training,
        skipped={reason: count for reason, count in skipped.items() if count},
    )


def detector_tables(entries: Sequence[DetectorEntry]) -> str:
    """Format entries as Markdown tables, as `tables_of` does for classifiers."""
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
