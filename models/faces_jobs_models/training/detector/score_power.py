"""Calibrates a detector's scores, so that a job's default threshold has the desired precision."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

from faces_jobs.jobs.spec import JobSpec
from faces_jobs_models.detector.open_detector import open_detector
from faces_jobs_models.training.detector.measure import MIN_HEIGHT, run_detector
from faces_jobs_models.training.detector.precision import threshold_for_precision
from faces_jobs_models.training.evaluation.predictions import Selection
from faces_jobs_models.training.readers import open_detection_data
from faces_jobs_models.weights import read_record

_MIN_SCORE, _MAX_SCORE = 0.1, 0.95  # outside of these, the network is untrained


def score_power(export: Path, data: Path, *, precision: float) -> float:
    """Return the power to which scores must be raised; 1 if no score has that precision.

    It is fitted on the training pictures, so that the held-out ones can measure the result.

    Args:
        export: folder of the detector, whose scores are not raised yet.
        data: holds pictures with annotated faces.
        precision: desired share of correct boxes above the threshold.
    """
    skipped: Counter[str] = Counter()
    detector = open_detector(read_record(export))
    training_samples = (
        sample
        for data_set in open_detection_data(data, skipped=skipped)
        for sample in data_set
        if not sample.held_out
    )
    run = run_detector(
        training_samples, detector, selection=Selection(), skipped=skipped, advance=lambda _: None
    )
    heights = (MIN_HEIGHT, math.inf)
    score = threshold_for_precision(run.pictures, precision, heights=heights)
    if not _MIN_SCORE < score < _MAX_SCORE:
        return 1.0
    return math.log(JobSpec().detection_threshold) / math.log(score)
