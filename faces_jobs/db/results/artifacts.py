"""Rows of stored files, inserted in the transaction that makes the files visible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from faces_jobs.db.results.outcomes import NewArtifact
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ArtifactRow, SegmentFileRow

CHUNK_ROWS = 2000


def is_visible(database: Database, job_id: str, folder_key: str) -> bool:
    """Return whether a row refers to any file in this storage folder."""
    statements = [
        select(table.job_id)
        .where(
            table.job_id == job_id,
            table.storage_key.startswith(f"{folder_key}/", autoescape=True),
        )
        .limit(1)
        for table in (ArtifactRow, SegmentFileRow)
    ]
    with database.read() as session:
        return any(session.scalar(statement) is not None for statement in statements)


def visible_folders(database: Database, job_id: str) -> set[str]:
    """Return the storage folders of a job's files that rows refer to."""
    # All at once: a search for each of a large job's folders would read its rows again and again.
    folders: set[str] = set()
    with database.read() as session:
        for table in (ArtifactRow, SegmentFileRow):
            keys = select(table.storage_key).where(table.job_id == job_id)
            for key in session.scalars(keys.execution_options(yield_per=CHUNK_ROWS)):
                folders.add(key.rpartition("/")[0])
    return folders


def insert_artifacts(
    session: Session, job_id: str, item_id: int | None, artifacts: Sequence[NewArtifact]
) -> None:
    """Insert the rows that make stored files visible."""
    values = [artifact_values(job_id, item_id, artifact) for artifact in artifacts]
    if values:
        session.execute(insert(ArtifactRow), values)


def artifact_values(job_id: str, item_id: int | None, artifact: NewArtifact) -> dict[str, Any]:
    """Return the column values of an artifact."""
    return {
        "job_id": job_id,
        "item_id": item_id,
        "kind": artifact.kind,
        "name": artifact.name,
        "media_type": artifact.media_type,
        "bytes": artifact.bytes,
        "sha256": artifact.sha256,
        "track": artifact.track,
        "storage_key": artifact.storage_key,
    }
