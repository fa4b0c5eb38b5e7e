"""Queries of jobs, items, tracks, faces and artifacts, as pages of documents; control of jobs."""

from faces_jobs.results.artifacts import (
    OpenArtifact,
    count_artifacts,
    list_artifacts,
    open_artifact,
)
from faces_jobs.results.audit import list_audit
from faces_jobs.results.control import cancel_job, pause_job, resume_job, retry_job, set_priority
from faces_jobs.results.deliveries import list_deliveries
from faces_jobs.results.faces import list_faces, list_tracks
from faces_jobs.results.items import get_item, list_items
from faces_jobs.results.jobs import get_job, get_jobs, list_jobs
from faces_jobs.results.versions import job_version

__all__ = [
    "OpenArtifact",
    "cancel_job",
    "count_artifacts",
    "get_item",
    "get_job",
    "get_jobs",
    "job_version",
    "list_artifacts",
    "list_audit",
    "list_deliveries",
    "list_faces",
    "list_items",
    "list_jobs",
    "list_tracks",
    "open_artifact",
    "pause_job",
    "resume_job",
    "retry_job",
    "set_priority",
]
