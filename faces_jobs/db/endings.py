"""How work ends: each ending is one transaction that first checks the claim's token.

Locks are taken in the order segments, items, job (see `db.jobs`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, delete, func, insert, select, update
from sqlalchemy.orm import Session

from faces_jobs.db.claims import JobClaim, SegmentClaim, lost, lost_job, mine, mine_to_finish
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.ended import record_end
from faces_jobs.db.evidence import keep_evidence
from faces_jobs.db.jobs import finish_if_last, lock_segments
from faces_jobs.db.moves import move_items, move_jobs, move_segments
from faces_jobs.db.rows import replace_faces, replace_models, replace_tracks
from faces_jobs.db.session import Database
from faces_jobs.db.stages import add_next_stage, first_error
from faces_jobs.db.tables import (
    ArtifactRow,
    ItemRow,
    JobRow,
    SegmentFileRow,
    SegmentRow,
)
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.records import FaceRecord, ModelVersion, TrackRecord
from faces_jobs.jobs.status import ItemStatus, JobStatus, SegmentStatus, status_of_ended


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """A published file that a row is to make visible."""

    kind: str
    name: str
    media_type: str
    bytes: int
    sha256: str
    storage_key: str
    track: int | None = None


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """What a file turned out to be when it was opened."""

    kind: str
    format: str
    width: int
    height: int
    duration_ms: float | None


@dataclass(frozen=True, slots=True)
class SegmentResults:
    """What came of a segment.

    With an `error` (a file that breaks off) the item is failed, and what came before is kept.
    """

    facts: ItemFacts
    frames: int
    faces: Iterable[FaceRecord]
    tracks: Sequence[TrackRecord]
    artifacts: Sequence[NewArtifact]
    models: Sequence[ModelVersion]
    error: ErrorDocument | None = None


def finish_segment(database: Database, claim: SegmentClaim, results: SegmentResults) -> bool:
    """Record a segment's results, all or nothing. True if the job is now to be finished.

    Doing it twice is doing it once: rows are replaced, and the second time the token is gone.

    Raises:
        CancelledError, LeaseLostError: the claim no longer holds; nothing was changed.
    """
    with database.begin() as session:
        lock_claim(session, claim)
        faces = replace_faces(
            session,
            job_id=claim.job_id,
            item_id=claim.item_id,
            faces=results.faces,
            start_frame=claim.start_frame,
            end_frame=claim.end_frame,
        )
        tracks = replace_tracks(
            session, job_id=claim.job_id, item_id=claim.item_id, tracks=results.tracks
        )
        replace_models(session, claim.item_id, results.models)
        session.execute(delete(ArtifactRow).where(ArtifactRow.item_id == claim.item_id))
        insert_artifacts(session, claim.job_id, claim.item_id, results.artifacts)
        facts = results.facts
        session.execute(
            update(ItemRow)
            .where(ItemRow.id == claim.item_id)
            .values(
                kind=facts.kind,
                format=facts.format,
                width=facts.width,
                height=facts.height,
                duration_ms=facts.duration_ms,
                face_count=faces,
                track_count=tracks,
            )
        )
        session.execute(
            update(SegmentRow)
            .where(SegmentRow.id == claim.segment_id)
            .values(
                frames_done=results.frames,
                frames_shown=results.frames,
                frames_total=results.frames,
            )
        )
        return _end_segment(session, claim, results.error)


def fail_segment(
    database: Database, claim: SegmentClaim, error: ErrorDocument, *, gave_up: bool = False
) -> bool:
    """Record that a file can't be processed. True if the job is now to be finished.

    With `gave_up` (every attempt failed) what is known of the last one is kept as evidence.

    Raises:
        CancelledError, LeaseLostError: the claim no longer holds; nothing was changed.
    """
    with database.begin() as session:
        lock_claim(session, claim)
        if gave_up:
            row = session.get_one(SegmentRow, claim.segment_id)
            row.last_error = error.message
            keep_evidence(session, row)
        return _end_segment(session, claim, error)


def fail_job(database: Database, claim: SegmentClaim, error: ErrorDocument) -> bool:
    """Record that none of the job's files can be processed. True if it is now to be finished.

    Items that ended before keep how they ended.

    Raises:
        CancelledError, LeaseLostError: the claim no longer holds; nothing was changed.
    """
    now = now_seconds()
    job_id = claim.job_id
    with database.begin() as session:
        lock_segments(session, job_id)
        lock_claim(session, claim)
        session.execute(
            move_segments(
                SegmentStatus.FAILED,
                SegmentRow.job_id == job_id,
                lease_token=None,
                lease_until=None,
                last_error=error.message,
                error_code=error.code,
                ended_at=now,
            )
        )
        session.execute(
            move_items(
                ItemStatus.FAILED,
                ItemRow.job_id == job_id,
                error_code=error.code,
                error_message=error.message,
                ended_at=now,
            )
        )
        session.execute(delete(SegmentFileRow).where(SegmentFileRow.job_id == job_id))
        session.execute(
            update(JobRow)
            .where(JobRow.id == job_id)
            .values(error_code=error.code, error_message=error.message)
        )
        return finish_if_last(session, job_id)


def hand_back(
    database: Database,
    claim: SegmentClaim,
    *,
    reason: str,
    counts: bool,
    delay_seconds: float = 0.0,
) -> None:
    """Put a segment back into the queue, for any worker to take after `delay_seconds`.

    With `counts` the attempt counts against the limit (something failed); without it does not
    (this worker was told to stop), and the sweep rings at once.

    Raises:
        CancelledError, LeaseLostError: the claim no longer holds; nothing was changed.
    """
    with database.begin() as session:
        lock_claim(session, claim)
        session.execute(
            move_segments(
                SegmentStatus.QUEUED,
                mine(claim),
                lease_token=None,
                lease_until=None,
                last_error=reason,
                attempts=SegmentRow.attempts if counts else SegmentRow.attempts - 1,
                last_rung_at=now_seconds() if counts else None,
                not_before=now_seconds() + delay_seconds if delay_seconds else None,
            )
        )


def finish_job(database: Database, claim: JobClaim, artifacts: Sequence[NewArtifact]) -> JobStatus:
    """Record a job's exports and end it. Returns the state in which it ended.

    Raises:
        CancelledError, LeaseLostError: the claim no longer holds; nothing was changed.
    """
    with database.begin() as session:
        _lock_job(session, claim)
        session.execute(
            delete(ArtifactRow).where(
                ArtifactRow.job_id == claim.job_id, ArtifactRow.item_id.is_(None)
            )
        )
        insert_artifacts(session, claim.job_id, None, artifacts)
        items = session.scalars(select(ItemRow.status).where(ItemRow.job_id == claim.job_id))
        return end_job(session, claim.job_id, status_of_ended(items.all()), error=None)


def hand_back_job(
    database: Database,
    claim: JobClaim,
    *,
    reason: str,
    counts: bool,
    delay_seconds: float = 0.0,
) -> None:
    """Put a job that is to be finished back, for any worker to take after `delay_seconds`.

    Raises:
        CancelledError, LeaseLostError: the claim no longer holds; nothing was changed.
    """
    with database.begin() as session:
        _lock_job(session, claim)
        session.execute(
            update(JobRow)
            .where(mine_to_finish(claim))
            .values(
                lease_token=None,
                lease_until=None,
                last_error=reason,
                attempts=JobRow.attempts if counts else JobRow.attempts - 1,
                last_rung_at=now_seconds() if counts else None,
                not_before=now_seconds() + delay_seconds if delay_seconds else None,
            )
        )


def is_visible(database: Database, job_id: str, folder_key: str) -> bool:
    """Whether a row speaks of any file in a published folder."""
    questions = [
        select(table.job_id)
        .where(
            table.job_id == job_id,
            table.storage_key.startswith(f"{folder_key}/", autoescape=True),
        )
        .limit(1)
        for table in (ArtifactRow, SegmentFileRow)
    ]
    with database.read() as session:
        return any(session.scalar(question) is not None for question in questions)


def end_job(
    session: Session, job_id: str, status: JobStatus, *, error: ErrorDocument | None
) -> JobStatus:
    """Move a finishing job to its last state. An error of the job itself is kept if it has one."""
    values: dict[str, Any] = {
        "lease_token": None,
        "lease_until": None,
        "ended_at": now_seconds(),
    }
    if error is not None:
        values |= {"error_code": error.code, "error_message": error.message}
    session.execute(move_jobs(status, JobRow.id == job_id, **values))
    record_end(session, job_id)
    return status


def end_item(session: Session, *, segment_id: int, error: ErrorDocument | None) -> bool:
    """End a segment whose row is locked, and its item with its last segment.

    True if the job is now to be finished.
    """
    now = now_seconds()
    failed = error is not None
    session.execute(
        move_segments(
            SegmentStatus.FAILED if failed else SegmentStatus.SUCCEEDED,
            SegmentRow.id == segment_id,
            lease_token=None,
            lease_until=None,
            last_error=error.message if error else None,
            error_code=error.code if error else None,
            ended_at=now,
        )
    )
    item_id, job_id = session.execute(
        select(SegmentRow.item_id, SegmentRow.job_id).where(SegmentRow.id == segment_id)
    ).one()
    # Locked before its segments are counted, as the job is in `finish_if_last`.
    session.execute(select(ItemRow.id).where(ItemRow.id == item_id).with_for_update(key_share=True))
    open_states = [state for state in SegmentStatus if not state.ended]
    left, broken = session.execute(
        select(
            func.count(case((SegmentRow.status.in_(open_states), 1))),
            func.count(case((SegmentRow.status == SegmentStatus.FAILED, 1))),
        ).where(SegmentRow.item_id == item_id)
    ).one()
    if left or add_next_stage(session, job_id=job_id, item_id=item_id):
        return False
    session.execute(delete(SegmentFileRow).where(SegmentFileRow.item_id == item_id))
    values: dict[str, Any] = {"ended_at": now}
    if broken:
        values |= first_error(session, item_id)
    session.execute(
        move_items(
            ItemStatus.FAILED if broken else ItemStatus.SUCCEEDED, ItemRow.id == item_id, **values
        )
    )
    return finish_if_last(session, job_id)


def _end_segment(session: Session, claim: SegmentClaim, error: ErrorDocument | None) -> bool:
    return end_item(session, segment_id=claim.segment_id, error=error)


def lock_claim(session: Session, claim: SegmentClaim) -> None:
    """Lock a segment's row while the claim on it holds.

    Raises:
        CancelledError, LeaseLostError: it does not.
    """
    held = session.scalar(select(SegmentRow.id).where(mine(claim)).with_for_update(key_share=True))
    if held is None:
        raise lost(session, claim)


def _lock_job(session: Session, claim: JobClaim) -> None:
    held = session.scalar(
        select(JobRow.id).where(mine_to_finish(claim)).with_for_update(key_share=True)
    )
    if held is None:
        raise lost_job(session, claim)


def insert_artifacts(
    session: Session, job_id: str, item_id: int | None, artifacts: Sequence[NewArtifact]
) -> None:
    """Make published files visible."""
    values = [artifact_values(job_id, item_id, artifact) for artifact in artifacts]
    if values:
        session.execute(insert(ArtifactRow), values)


def artifact_values(job_id: str, item_id: int | None, artifact: NewArtifact) -> dict[str, Any]:
    """A published file as the values of its row."""
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
