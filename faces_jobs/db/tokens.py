"""Tokens of leases: one for each claim, which tells of which job it is.

So whoever deletes a job sees by the names of folders whether anybody works on it still, those
whose lease was taken over or wiped long ago, too.
"""

from __future__ import annotations

import uuid

_OF_JOB = 16  # digits; as many are the claim's own


def new_token(job_id: str) -> str:
    """A token of 32 hexadecimal digits that no other claim has."""
    return _digits_of(job_id) + uuid.uuid4().hex[_OF_JOB:]


def is_token_of(token: str, job_id: str) -> bool:
    """Whether a claim on this job, or on a segment of it, had this token."""
    return token.startswith(_digits_of(job_id))


def _digits_of(job_id: str) -> str:
    return job_id.replace("-", "")[:_OF_JOB]
