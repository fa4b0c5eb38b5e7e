"""Artifacts of a job: what files there are, and where one lies."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Select, select

from faces_jobs.db.session import Database
from faces_jobs.db.tables import ArtifactRow, ItemRow
from faces_jobs.errors import NotFoundError
from faces_jobs.jobs.documents import ArtifactDocument, ArtifactPage
from faces_jobs.jobs.query import DEFAULT_PAGE_SIZE
from faces_jobs.results.pages import check_job_exists, check_limit, decode_cursor, encode_cursor
from faces_jobs.storage import OpenFile, Storage


@dataclass(frozen=True, slots=True)
class OpenArtifact:
    """A file to be sent, with what is known about it. Whoever opened it closes its file."""

    document: ArtifactDocument
    stored: OpenFile


def list_artifacts(
    database: Database,
    job_id: str,
    *,
    item_id: int | None = None,
    kind: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_PAGE_SIZE,
) -> ArtifactPage:
    """Artifacts of a job, in the order they were made.

    Raises:
        NotFoundError: no such job.
        OptionsError: cursor or limit can't be used.
    """
    check_limit(limit)
    place = decode_cursor(cursor, (int,))
    question = _question().where(ArtifactRow.job_id == job_id).order_by(ArtifactRow.id)
    if item_id is not None:
        question = question.where(ArtifactRow.item_id == item_id)
    if kind is not None:
        question = question.where(ArtifactRow.kind == kind)
    if place is not None:
        question = question.where(ArtifactRow.id > place[0])
    with database.read() as session:
        check_job_exists(session, job_id)
        rows = session.execute(question.limit(limit + 1)).all()
    shown = rows[:limit]
    return ArtifactPage(
        artifacts=[_document(row, name) for row, name in shown],
        next_cursor=encode_cursor([shown[-1][0].id]) if len(rows) > limit else None,
    )


def get_artifact(database: Database, job_id: str, artifact_id: int) -> ArtifactDocument:
    """One artifact.

    Raises:
        NotFoundError: that job has no such artifact.
    """
    return _document(*_row(database, job_id, artifact_id))


def open_artifact(
    database: Database, storage: Storage, job_id: str, artifact_id: int
) -> OpenArtifact:
    """One artifact with its file, open.

    Raises:
        NotFoundError: that job has no such artifact, or its file is gone.
        StorageError: where it is kept does not answer.
    """
    row, item_name = _row(database, job_id, artifact_id)
    try:
        stored = storage.open_file(row.storage_key)
    except NotFoundError as error:
        raise NotFoundError(f"The file of artifact {artifact_id} is not there any more.") from error
    return OpenArtifact(_document(row, item_name), stored)


def _row(database: Database, job_id: str, artifact_id: int) -> tuple[ArtifactRow, str | None]:
    question = _question().where(ArtifactRow.job_id == job_id, ArtifactRow.id == artifact_id)
    with database.read() as session:
        row = session.execute(question).one_or_none()
    if row is None:
        raise NotFoundError(f"Job {job_id} has no artifact {artifact_id}.")
    return row[0], row[1]


def _question() -> Select[ArtifactRow, str | None]:
    return select(ArtifactRow, ItemRow.name).join(
        ItemRow, ItemRow.id == ArtifactRow.item_id, isouter=True
    )


def _document(row: ArtifactRow, item_name: str | None) -> ArtifactDocument:
    return ArtifactDocument(
        id=row.id,
        job_id=row.job_id,
        item_id=row.item_id,
        item_name=item_name,
        kind=row.kind,
        name=row.name,
        media_type=row.media_type,
        bytes=row.bytes,
        sha256=row.sha256,
        track=row.track,
        missing=row.missing_since is not None,
    )
