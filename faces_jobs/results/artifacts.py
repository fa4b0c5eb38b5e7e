"""Lists the artifacts of a job and opens their files."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Select, func, select

from faces_jobs.db.session import Database
from faces_jobs.db.tables import ArtifactRow, ItemRow
from faces_jobs.errors import NotFoundError
from faces_jobs.jobs.documents import ArtifactDocument, ArtifactPage
from faces_jobs.jobs.query import DEFAULT_PAGE_SIZE
from faces_jobs.results.pages import check_job_exists, check_limit, decode_cursor, encode_cursor
from faces_jobs.storage import OpenFile, Storage


@dataclass(frozen=True, slots=True)
class OpenArtifact:
    """An artifact and its open file, which the caller closes."""

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
    """Return a page of a job's artifacts, in order of creation.

    Raises:
        NotFoundError: there is no such job.
        OptionsError: the cursor or limit is invalid.
    """
    check_limit(limit)
    after = decode_cursor(cursor, (int,))
    statement = _statement().where(ArtifactRow.job_id == job_id).order_by(ArtifactRow.id)
    if item_id is not None:
        statement = statement.where(ArtifactRow.item_id == item_id)
    if kind is not None:
        statement = statement.where(ArtifactRow.kind == kind)
    if after is not None:
        statement = statement.where(ArtifactRow.id > after[0])
    with database.read() as session:
        check_job_exists(session, job_id)
        rows = session.execute(statement.limit(limit + 1)).all()
    shown = rows[:limit]
    return ArtifactPage(
        artifacts=[_document(row, name) for row, name in shown],
        next_cursor=encode_cursor([shown[-1][0].id]) if len(rows) > limit else None,
    )


def count_artifacts(
    database: Database, job_id: str, *, item_id: int | None = None
) -> dict[str, int]:
    """Count a job's artifacts, or those of one of its items, by kind."""
    statement = (
        select(ArtifactRow.kind, func.count())
        .where(ArtifactRow.job_id == job_id)
        .group_by(ArtifactRow.kind)
        .order_by(ArtifactRow.kind)
    )
    if item_id is not None:
        statement = statement.where(ArtifactRow.item_id == item_id)
    with database.read() as session:
        return dict(session.execute(statement).all())


def open_artifact(
    database: Database, storage: Storage, job_id: str, artifact_id: int
) -> OpenArtifact:
    """Return one artifact with its file, opened.

    Raises:
        NotFoundError: there is no such job, it has no such artifact, or its file is missing.
        StorageError: the storage can't be reached.
    """
    statement = _statement().where(ArtifactRow.job_id == job_id, ArtifactRow.id == artifact_id)
    with database.read() as session:
        check_job_exists(session, job_id)
        found = session.execute(statement).one_or_none()
    if found is None:
        raise NotFoundError(f"Job {job_id} has no artifact {artifact_id}.")
    row, item_name = found
    try:
        stored = storage.open_file(row.storage_key)
    except NotFoundError as error:
        raise NotFoundError(f"The file of artifact {artifact_id} is missing.") from error
    return OpenArtifact(_document(row, item_name), stored)


def _statement() -> Select[ArtifactRow, str | None]:
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
