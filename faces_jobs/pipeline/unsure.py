"""Determines the thresholds below which a head's attribute is `unsure`."""

from __future__ import annotations

from faces_jobs.jobs.unsure import parse_unsure_below
from faces_jobs.pipeline.protocols import Classifier


def thresholds_of(classifier: Classifier, *overrides: str) -> dict[str, float]:
    """Return the threshold for `unsure` of each head of a classifier.

    Args:
        classifier: provides the defaults.
        overrides: the text of the setting, then that of the job (see `parse_unsure_below`); the
            last one that names a head takes precedence.

    Raises:
        ValueError: an override can't be parsed.
    """
    overridden: dict[str, float] = {}
    for text in overrides:
        overridden |= parse_unsure_below(text)
    defaults = classifier.unsure_below
    return {head: overridden.get(head, defaults.get(head, 0.0)) for head in classifier.heads}
