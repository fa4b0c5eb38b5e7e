"""The version of a job, which changes whenever the job does."""

from __future__ import annotations

import hashlib

from faces_jobs.jobs.documents import JobDocument

# These change with time alone.
TIME_DEPENDENT_FIELDS = {"progress": {"frames_per_second", "eta_seconds"}}


def job_version(job: JobDocument) -> str:
    """Return a hash of the job's document that stays the same while nothing happens to the job."""
    content = job.model_dump_json(exclude=TIME_DEPENDENT_FIELDS)
    return hashlib.sha256(content.encode()).hexdigest()[:32]
