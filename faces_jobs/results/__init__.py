"""What can be asked: jobs, items, tracks, faces, artifacts, as pages of documents."""

from faces_jobs.results.artifacts import OpenArtifact, get_artifact, list_artifacts, open_artifact
from faces_jobs.results.faces import list_faces, list_tracks
from faces_jobs.results.jobs import cancel_job, get_job, list_items, list_jobs

__all__ = [
    "OpenArtifact",
    "cancel_job",
    "get_artifact",
    "get_job",
    "list_artifacts",
    "list_faces",
    "list_items",
    "list_jobs",
    "list_tracks",
    "open_artifact",
]
