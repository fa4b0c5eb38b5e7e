"""What tells two looks at a job apart: its version, which stands still when the job does."""

from __future__ import annotations

import hashlib

from faces_jobs.jobs.documents import JobDocument

# What goes on with the clock alone.
CLOCKED = {"progress": {"frames_per_second", "eta_seconds"}}


def job_version(job: JobDocument) -> str:
    """The same for two looks at a job between which nothing happened to it."""
    told = job.model_dump_json(exclude=CLOCKED)
    return hashlib.sha256(told.encode()).hexdigest()[:32]
