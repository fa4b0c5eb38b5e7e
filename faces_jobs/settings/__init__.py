"""Every setting, read once from the environment (`FACES_JOBS_*`), typed and frozen.

One module per concern; `joined` combines them into one class.
"""

from __future__ import annotations

from faces_jobs.settings.environment import ENVIRONMENT_PREFIX
from faces_jobs.settings.joined import Settings
from faces_jobs.settings.pipeline import DEFAULT_DETECTOR, DetectorName, EncoderName
from faces_jobs.settings.web import is_loopback

__all__ = [
    "DEFAULT_DETECTOR",
    "ENVIRONMENT_PREFIX",
    "DetectorName",
    "EncoderName",
    "Settings",
    "is_loopback",
]
