"""Brings the score at which a detector is right often enough to a job's default threshold."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

from faces_jobs.jobs.spec import JobSpec
from faces_jobs_models.detector.open_detector import open_detector
from faces_jobs_models.training.detector.measure import MIN_HEIGHT, run_detector
from faces_jobs_models.training.detector.precision import score_of_precision
from faces_jobs_models.training.predictions import Selection
from faces_jobs_models.training.readers import open_detection_data
from faces_jobs_models.weights import read_record

_LOWEST, _HIGHEST = 0.1, 0.95  # beyond these a network has learnt nothing yet


def score_power(export: Path, data: Path, *, precision: float) -> float:
    """The power to which scores are to be raised; 1 where no score is as good as that.

    It is found on the pictures that were learnt from: the held-out ones only tell how well it fits.

    Args:
        export: folder of the detector, whose scores are not raised yet.
        data: holds pictures with marked faces.
        precision: share of the boxes at the threshold that shall be right.
    """
    skipped: Counter[str] = Counter()
    detector = open_detector(read_record(export))
    learnt = (
        one
        for marked in open_detection_data(data, skipped=skipped)
        for one in marked
        if not one.held_out
    )
    looked = run_detector(
        learnt, detector, selection=Selection(), skipped=skipped, advance=lambda _: None
    )
    heights = (MIN_HEIGHT, math.inf)
    score = score_of_precision(looked.seen, precision, heights=heights)
    if not _LOWEST < score < _HIGHEST:
        return 1.0
    return math.log(JobSpec().detection_threshold) / math.log(score)
