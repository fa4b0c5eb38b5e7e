"""The three plots of a head on a data set: confusion matrix, reliability, risk and coverage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faces_jobs_models.training.evaluation.cross_fit import CrossFitted
from faces_jobs_models.training.evaluation.entries import confusion_matrix
from faces_jobs_models.training.evaluation.measure import Measurement
from faces_jobs_models.training.evaluation.plots import (
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
    cross_fitted: CrossFitted,
    unsure_below: float,
) -> None:
    """Write `confusion-`, `reliability-` and `risk-coverage-HEAD-DATASET.png` into `folder`.

    Args:
        folder: created if missing.
        head: for titles and file names.
        data_set: the same.
        labels: of the head, in order.
        truth: (n,) label indices, -1 where unknown; nothing is drawn if none is known.
        probabilities: (n, labels), as users get them.
        cross_fitted: predictions for the same faces, for the last two plots.
        unsure_below: the record's threshold.
    """
    known = truth >= 0
    if not known.any():
        return
    name = f"{head}-{data_set}.png"
    predicted = probabilities.argmax(axis=1)
    draw_confusion(
        folder / f"confusion-{name}",
        confusion_matrix(labels, truth[known], predicted[known]),
        title=f"{head} on {data_set}, {int(known.sum())} faces",
    )
    if not len(cross_fitted.truth):
        return
    title = f"{head} on {data_set}, {len(cross_fitted.truth)} faces"
    draw_reliability(folder / f"reliability-{name}", cross_fitted, title=title)
    draw_risk_coverage(
        folder / f"risk-coverage-{name}", cross_fitted, unsure_below=unsure_below, title=title
    )


def draw_measurement(folder: Path, measurement: Measurement) -> None:
    """Write the plots of every head of an evaluated data set."""
    model, predictions = measurement.model, measurement.predictions
    for head, labels in model.heads.items():
        draw_head(
            folder,
            head=head,
            data_set=predictions.data_set,
            labels=labels,
            truth=predictions.truth[head],
            probabilities=predictions.probabilities(head),
            cross_fitted=model.cross_fitted(predictions, head),
            unsure_below=model.calibration[head].unsure_below,
        )
