"""From which probability on a run takes an answer for sure, head by head."""

from __future__ import annotations

from faces_jobs.jobs.unsure import parse_unsure_below
from faces_jobs.pipeline.stages import Classifier


def thresholds_of(classifier: Classifier, *said: str) -> dict[str, float]:
    """Head -> probability below which this classifier's answer is `unsure`, for each of its heads.

    Args:
        classifier: brings its own, which count where nothing else is said.
        said: what the setting, then what the job says (see `parse_unsure_below`): the last one
            that names a head counts.

    Raises:
        ValueError: one of `said` can't be read.
    """
    named: dict[str, float] = {}
    for text in said:
        named |= parse_unsure_below(text)
    own = classifier.unsure_below
    return {head: named.get(head, own.get(head, 0.0)) for head in classifier.heads}
