"""The delay before failed work is retried: exponential backoff with jitter."""

from __future__ import annotations

import random

from faces_jobs.settings import Settings

JITTER = 0.5  # of the delay, in both directions
# A storage that is unavailable takes its operator a while to repair: the delay is that after this
# many failed attempts, about 15 s with the default settings.
STORAGE_ATTEMPT = 4


def backoff_seconds(settings: Settings, attempt: int) -> float:
    """The delay after this attempt (counted from 1): doubled each time, with jitter."""
    # The exponent is bounded so that the power stays finite; the maximum applies long before.
    doubled = settings.retry_seconds * 2.0 ** min(attempt - 1, 64)
    delay = min(doubled, settings.retry_max_seconds)
    # Jitter: work that failed at the same moment must not be retried at the same moment.
    return delay * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 (no secret)


def storage_backoff_seconds(settings: Settings) -> float:
    """The delay before work is retried for which the storage was unavailable."""
    return backoff_seconds(settings, STORAGE_ATTEMPT)
