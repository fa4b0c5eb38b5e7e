"""Lease tokens: unique for each claim, and prefixed with a part of the job's id.

Working folders are named after tokens. The prefix lets the deletion of a job find every folder in
which a worker may still be busy, even if its lease was taken over or cleared long ago.
"""

from __future__ import annotations

import uuid

_JOB_DIGITS = 16  # of 32; the other half is random


def new_token(job_id: str) -> str:
    """Return a unique token of 32 hexadecimal digits for a claim on this job."""
    return _job_prefix(job_id) + uuid.uuid4().hex[_JOB_DIGITS:]


def is_token_of(token: str, job_id: str) -> bool:
    """Return whether this token belongs to a claim on the job or on one of its segments."""
    return token.startswith(_job_prefix(job_id))


def _job_prefix(job_id: str) -> str:
    return job_id.replace("-", "")[:_JOB_DIGITS]
