"""The three pictures of a head on a data set: confusion, calibration, risk and coverage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faces_jobs_models.training.cross_fit import CrossFitted
from faces_jobs_models.training.entries import confusion_matrix
from faces_jobs_models.training.measure import Measurement
from faces_jobs_models.training.plots import (
    draw_confusion,
    draw_reliability,
    draw_risk_coverage,
)


def draw_head(
    folder: Path,
    *,
    head: str,
    data_set: str,
    labels: Sequence[str],
    truth: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    measured: CrossFitted,
    unsure_below: float,
) -> None:
    """Write `confusion-`, `reliability-` and `risk-coverage-HEAD-DATASET.png` into `folder`.

    Args:
        folder: is made where it is missing.
        head: for titles and names.
        data_set: likewise.
        labels: of the head, in order.
        truth: (n,) label indices, -1 where unknown; nothing is drawn where none is known.
        probabilities: (n, labels), as users see them.
        measured: the same faces as they are measured, for the last two pictures.
        unsure_below: the record's threshold.
    """
    known = truth >= 0
    if not known.any():
        return
    name = f"{head}-{data_set}.png"
    best = probabilities.argmax(axis=1)
    draw_confusion(
        folder / f"confusion-{name}",
        confusion_matrix(labels, truth[known], best[known]),
        title=f"{head} on {data_set}, {int(known.sum())} faces",
    )
    if not len(measured.truth):
        return
    title = f"{head} on {data_set}, {len(measured.truth)} faces"
    draw_reliability(folder / f"reliability-{name}", measured, title=title)
    draw_risk_coverage(
        folder / f"risk-coverage-{name}", measured, unsure_below=unsure_below, title=title
    )


def draw_measurement(folder: Path, measured: Measurement) -> None:
    """The pictures of every head of a measured data set."""
    asked, predictions = measured.asked, measured.predictions
    for head, labels in asked.heads.items():
        draw_head(
            folder,
            head=head,
            data_set=predictions.data_set,
            labels=labels,
            truth=predictions.truth[head],
            probabilities=predictions.probabilities(head),
            measured=asked.cross_fitted(predictions, head),
            unsure_below=asked.calibration[head].unsure_below,
        )
