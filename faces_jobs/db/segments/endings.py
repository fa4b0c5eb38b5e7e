"""The ends of segments: each is recorded in one transaction that first checks the claim's token.

Jobs are ended in `db.jobs.endings`. Locks are taken in the order segments, items, job (see
`db.jobs.changes`).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.orm import Session

from faces_jobs.db.claims.evidence import record_evidence
from faces_jobs.db.claims.fencing import SegmentClaim, lock_all_segments, lock_claim
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.jobs.changes import start_finishing_if_done
from faces_jobs.db.jobs.discarding import discard_partial_results
from faces_jobs.db.moves import move_items, move_segments
from faces_jobs.db.results.artifacts import insert_artifacts
from faces_jobs.db.results.item_facts import record_facts
from faces_jobs.db.results.outcomes import SegmentResults
from faces_jobs.db.results.rows import replace_faces, replace_models, replace_tracks
from faces_jobs.db.segments.stages import add_next_stage, first_error, is_linked
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ArtifactRow, ItemRow, JobRow, SegmentFileRow, SegmentRow
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.status import OPEN_SEGMENTS, ItemStatus, SegmentStatus


def finish_segment(database: Database, claim: SegmentClaim, results: SegmentResults) -> bool:
    """Record a segment's results, all or nothing. Returns whether the job is now to be finished.

    This is idempotent: rows are replaced, and a second call finds the token cleared.

    Raises:
        CancelledError, LeaseLostError: the claim is no longer valid; nothing was changed.
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
        record_facts(session, claim.item_id, results.facts, faces=faces, tracks=tracks)
        session.execute(
            update(SegmentRow)
            .where(SegmentRow.id == claim.segment_id)
            .values(
                frames_done=results.frames,
                frames_shown=results.frames,
                frames_total=results.frames,
                damaged_frames=results.damaged_frames,
            )
        )
        return end_segment(session, segment_id=claim.segment_id, error=results.error)


def fail_segment(
    database: Database, claim: SegmentClaim, error: ErrorDocument, *, gave_up: bool = False
) -> bool:
    """Record that a file can't be processed. Returns whether the job is now to be finished.

    With `gave_up` (every attempt failed), what is known of the last attempt is kept as evidence.

    Raises:
        CancelledError, LeaseLostError: the claim is no longer valid; nothing was changed.
    """
    with database.begin() as session:
        lock_claim(session, claim)
        if gave_up:
            row = session.get_one(SegmentRow, claim.segment_id)
            row.last_error = error.message
            record_evidence(session, row)
        return end_segment(session, segment_id=claim.segment_id, error=error)


def fail_job(database: Database, claim: SegmentClaim, error: ErrorDocument) -> bool:
    """Record that none of the job's files can be processed. Returns whether it is to be finished.

    Items that have already ended are left unchanged.

    Raises:
        CancelledError, LeaseLostError: the claim is no longer valid; nothing was changed.
    """
    now = now_seconds()
    job_id = claim.job_id
    with database.begin() as session:
        lock_all_segments(session, job_id)
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
        discard_partial_results(session, ItemRow.job_id == job_id)
        session.execute(
            move_items(
                ItemStatus.FAILED,
                ItemRow.job_id == job_id,
                error_code=error.code,
                error_message=error.message,
                ended_at=now,
            )
        )
        session.execute(
            update(JobRow)
            .where(JobRow.id == job_id)
            .values(error_code=error.code, error_message=error.message)
        )
        return start_finishing_if_done(session, job_id)


def end_segment(session: Session, *, segment_id: int, error: ErrorDocument | None) -> bool:
    """End a segment whose row is locked, and its item if this was its last segment.

    Returns whether the job is now to be finished.
    """
    now = now_seconds()
    item_id, job_id = session.execute(
        move_segments(
            SegmentStatus.FAILED if error else SegmentStatus.SUCCEEDED,
            SegmentRow.id == segment_id,
            lease_token=None,
            lease_until=None,
            last_error=error.message if error else None,
            error_code=error.code if error else None,
            ended_at=now,
        ).returning(SegmentRow.item_id, SegmentRow.job_id)
    ).one()
    # Locked before its segments are counted, as the job is in `start_finishing_if_done`.
    session.execute(select(ItemRow.id).where(ItemRow.id == item_id).with_for_update(key_share=True))
    open_count, failed_count = session.execute(
        select(
            func.count(case((SegmentRow.status.in_(OPEN_SEGMENTS), 1))),
            func.count(case((SegmentRow.status == SegmentStatus.FAILED, 1))),
        ).where(SegmentRow.item_id == item_id)
    ).one()
    if open_count or add_next_stage(session, job_id=job_id, item_id=item_id):
        return False
    session.execute(delete(SegmentFileRow).where(SegmentFileRow.item_id == item_id))
    values: dict[str, Any] = {"ended_at": now}
    if failed_count:
        values |= first_error(session, item_id)
        if not is_linked(session, item_id):
            discard_partial_results(session, ItemRow.id == item_id)
    status = ItemStatus.FAILED if failed_count else ItemStatus.SUCCEEDED
    session.execute(move_items(status, ItemRow.id == item_id, **values))
    return start_finishing_if_done(session, job_id)
