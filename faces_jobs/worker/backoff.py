"""How long work that failed waits for its next attempt: longer each time, and never all at once."""

from __future__ import annotations

import random

from faces_jobs.settings import Settings

JITTER = 0.5
# Whoever runs the service has to see to it: by default this is a quarter of a minute.
STORAGE_ATTEMPT = 4


def backoff_seconds(settings: Settings, attempt: int) -> float:
    """The pause after this attempt (from 1): doubled with each, give or take a half."""
    # The exponent is bounded: what is larger than the longest pause only has to stay a number.
    doubled = settings.retry_seconds * 2.0 ** min(max(attempt, 1) - 1, 64)
    longest = min(doubled, settings.retry_max_seconds)
    # So that what failed together, when a database went away, does not come back together.
    return longest * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 (no secret)


def storage_backoff_seconds(settings: Settings) -> float:
    """The pause before another look whether files can be reached: as after some failures."""
    return backoff_seconds(settings, STORAGE_ATTEMPT)
