"""Reads jobs as documents: state, progress, counts, errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

from sqlalchemy import (
    BindParameter,
    Double,
    Select,
    bindparam,
    case,
    cast,
    func,
    select,
    text,
    tuple_,
)
from sqlalchemy.orm import Session

from faces_jobs.db.clock import as_datetime
from faces_jobs.db.conditions import is_kept
from faces_jobs.db.jobs.retry import is_retryable, jobs_without_exports
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ItemRow, JobRow, ModelRow, SegmentRow
from faces_jobs.errors import NotFoundError
from faces_jobs.jobs.documents import JobDocument, JobPage, ModelDocument
from faces_jobs.jobs.query import DEFAULT_PAGE_SIZE
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.jobs.status import ItemStatus, JobStatus
from faces_jobs.jobs.unsure import parse_unsure_below
from faces_jobs.results.items import frames_by_item
from faces_jobs.results.pages import check_limit, decode_cursor, encode_cursor
from faces_jobs.results.progress import (
    MAX_UNENDED_FRACTION,
    ItemsWork,
    job_fraction,
    job_work,
    progress,
)
from faces_jobs.results.shared_fields import (
    database_now,
    error_of,
    evidence_of,
    seconds_between,
)


def get_job(database: Database, job_id: str) -> JobDocument:
    """Return one job.

    Raises:
        NotFoundError: there is no such job.
    """
    with database.read() as session:
        row = session.scalar(select(JobRow).where(JobRow.id == job_id, is_kept()))
        if row is None:
            raise NotFoundError(f"There is no job {job_id}.")
        return _job_documents(session, [row])[0]


def get_jobs(database: Database, job_ids: Sequence[str]) -> dict[str, JobDocument]:
    """Return those of these jobs that exist, by id."""
    with database.read() as session:
        rows = session.scalars(select(JobRow).where(JobRow.id.in_(job_ids), is_kept())).all()
        return {job.id: job for job in _job_documents(session, rows)}


def list_jobs(
    database: Database,
    *,
    status: JobStatus | None = None,
    label: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_PAGE_SIZE,
) -> JobPage:
    """Return a page of jobs, newest first.

    Args:
        database: where to read them.
        status: only jobs in this state.
        label: only jobs whose label contains this text, ignoring case.
        cursor: of the page before; None: the first page.
        limit: the page's maximum number of jobs.

    Raises:
        OptionsError: the cursor or limit is invalid.
    """
    check_limit(limit)
    after = decode_cursor(cursor, (float, str))
    statement = select(JobRow).where(is_kept())
    statement = statement.order_by(JobRow.created_at.desc(), JobRow.id.desc())
    if status is not None:
        statement = statement.where(JobRow.status == status)
    if label:
        statement = statement.where(JobRow.label.icontains(label, autoescape=True))
    if after is not None:
        statement = statement.where(tuple_(JobRow.created_at, JobRow.id) < tuple_(*after))
    with database.read() as session:
        rows = session.scalars(statement.limit(limit + 1)).all()
        shown = rows[:limit]
        return JobPage(
            jobs=_job_documents(session, shown),
            next_cursor=(
                encode_cursor([float(shown[-1].created_at), shown[-1].id])
                if len(rows) > limit
                else None
            ),
        )


def _job_documents(session: Session, rows: Sequence[JobRow]) -> list[JobDocument]:
    ids = [row.id for row in rows]
    groups: dict[str, list[_Group]] = {job_id: [] for job_id in ids}
    for job_id, *sums in _groups_of(session, ids):
        groups[job_id].append(_Group.of(*sums))
    models: dict[str, list[ModelDocument]] = {job_id: [] for job_id in ids}
    for job_id, name, version, sha256, unsure_below in session.execute(
        _models_statement(), {"job_ids": ids}
    ):
        models[job_id].append(
            ModelDocument(
                name=name,
                version=version,
                sha256=sha256,
                unsure_below=parse_unsure_below(unsure_below or ""),
            )
        )
    now, retryable = database_now(session), _retryable(session, rows, groups)
    return [
        _job_document(row, groups[row.id], models[row.id], now, can_retry=row.id in retryable)
        for row in rows
    ]


def _retryable(
    session: Session, rows: Sequence[JobRow], groups: Mapping[str, Sequence[_Group]]
) -> set[str]:
    """Return the ids of the ended jobs that have anything to retry."""
    ended = [row for row in rows if row.status.ended]
    items = {row.id for row in ended if any(group.retryable for group in groups[row.id])}
    # A job that succeeded has its exports; it may have many files to search for them.
    others = {row.id for row in ended if row.status is not JobStatus.SUCCEEDED} - items
    return items | jobs_without_exports(session, others)


@dataclass(frozen=True, slots=True)
class _Group:
    """The items of a job in one state, summed up."""

    work: ItemsWork
    faces: int
    tracks: int
    damaged: int
    retryable: int  # items that a retry would process again

    @classmethod
    def of(
        cls, status: ItemStatus, faces: int, tracks: int, damaged: int, retryable: int, *sums: Any
    ) -> Self:
        # PostgreSQL returns sums of 64-bit integers as decimals.
        items, done, total, unknown, weight, weight_done = sums
        work = ItemsWork(
            status=status,
            items=items,
            frames_done=int(done),
            frames_total=int(total),
            unknown=int(unknown),
            weight=float(weight),
            weight_done=float(weight_done),
        )
        return cls(work, int(faces), int(tracks), int(damaged), int(retryable))


def _job_document(
    row: JobRow,
    groups: Sequence[_Group],
    models: list[ModelDocument],
    now: float,
    *,
    can_retry: bool,
) -> JobDocument:
    works = [group.work for group in groups]
    ended = row.status.ended
    work = job_work(
        works, ended=ended, seconds=_seconds_of_work(row, now), frames_kept=row.frames_kept
    )
    return JobDocument(
        id=row.id,
        status=row.status,
        label=row.label,
        owner=row.owner,
        options=JobSpec.model_validate(row.options, strict=False),
        created_at=as_datetime(row.created_at),
        started_at=None if row.started_at is None else as_datetime(row.started_at),
        ended_at=None if row.ended_at is None else as_datetime(row.ended_at),
        delete_at=None if row.delete_at is None else as_datetime(row.delete_at),
        progress=progress(work, job_fraction(works, ended=ended), on_hold=row.status.held),
        item_count=sum(group.items for group in works),
        items_by_status={group.status: group.items for group in works},
        face_count=sum(group.faces for group in groups),
        track_count=sum(group.tracks for group in groups),
        damaged_frames=sum(group.damaged for group in groups),
        can_retry=can_retry,
        models=models,
        error=error_of(row),
        evidence=evidence_of(row),
    )


def _seconds_of_work(row: JobRow, now: float) -> float | None:
    """The seconds since the job's start, or from there to its end, without those on hold."""
    seconds = seconds_between(row.started_at, row.ended_at, now)
    held = row.held_seconds + (seconds_between(row.held_at, row.ended_at, now) or 0.0)
    return None if seconds is None else max(0.0, seconds - held)


def _groups_of(session: Session, job_ids: Sequence[str]) -> Sequence[Any]:
    """Execute `_groups_statement`, never by a nested loop.

    Without statistics of a large job that was just submitted, PostgreSQL takes it for a small one,
    and would sum up all of its segments again for each of its items.
    """
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    if is_postgresql:
        session.execute(text("SET LOCAL enable_nestloop = off"))
    rows = session.execute(_groups_statement(), {"job_ids": job_ids}).all()
    if is_postgresql:
        session.execute(text("SET LOCAL enable_nestloop = on"))
    return rows


# Building a statement of this size takes as long as everything else that a poll does: it is built
# once, and given the ids when it is executed.
@cache
def _groups_statement() -> Select[Any]:
    """Sum up the items of `job_ids` by state: the job's id, then the arguments of `_Group.of`."""
    job_ids: BindParameter[str] = bindparam("job_ids", expanding=True)
    frames = frames_by_item().where(SegmentRow.job_id.in_(job_ids)).subquery()
    done = func.coalesce(frames.c.done, 0)
    known = frames.c.total > 0
    # Files that were refused at submission are no work: they would look like progress.
    weight = case((ItemRow.source.is_(None), 0), (ItemRow.bytes > 0, ItemRow.bytes), else_=1)
    fraction = cast(done, Double) / frames.c.total
    shown = case((fraction < MAX_UNENDED_FRACTION, fraction), else_=MAX_UNENDED_FRACTION)
    return (
        select(
            ItemRow.job_id,
            ItemRow.status,
            func.sum(ItemRow.face_count),
            func.sum(ItemRow.track_count),
            func.coalesce(func.sum(frames.c.damaged), 0),
            func.sum(case((is_retryable(), 1), else_=0)),
            func.count(),
            func.sum(done),
            func.coalesce(func.sum(frames.c.total), 0),
            func.sum(case((known, 0), else_=1)),
            func.sum(weight),
            func.sum(case((known, weight * shown), else_=0.0)),
        )
        .join(frames, frames.c.item_id == ItemRow.id, isouter=True)
        .where(ItemRow.job_id.in_(job_ids))
        .group_by(ItemRow.job_id, ItemRow.status)
    )


@cache
def _models_statement() -> Select[str, str, str, str, str | None]:
    """Select the models that classified the faces of `job_ids`."""
    columns = (ModelRow.name, ModelRow.version, ModelRow.sha256, ModelRow.unsure_below)
    return (
        select(ItemRow.job_id, *columns)
        .join(ModelRow, ModelRow.item_id == ItemRow.id)
        .where(ItemRow.job_id.in_(bindparam("job_ids", expanding=True)))
        .distinct()
        .order_by(ItemRow.job_id, *columns)
    )
