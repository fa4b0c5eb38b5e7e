"""Bundles: images of one job that a worker claims, renews and ends together, under one token.

An image takes milliseconds: if each were claimed, renewed and ended by itself, most of the time
would go into transactions. A bundle needs one transaction for each of these steps. Its rows are
ordinary segments: each can be taken over, cancelled or given up by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, delete, insert, or_, select, update
from sqlalchemy.orm import Session

from faces_jobs.db.claims.fencing import (
    Bundle,
    SegmentClaim,
    are_held_by,
    claim_lost_error,
    hold_error,
    lock_segments,
)
from faces_jobs.db.claims.leases import claimed_values
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.conditions import has_active_job, is_ready
from faces_jobs.db.jobs.changes import start_finishing_if_done
from faces_jobs.db.moves import move_items, source_states, without_session_sync
from faces_jobs.db.results.artifacts import artifact_values
from faces_jobs.db.results.blocks import write_block
from faces_jobs.db.results.outcomes import SegmentResults
from faces_jobs.db.results.rows import face_values, model_values, track_values
from faces_jobs.db.session import Database
from faces_jobs.db.tables import (
    ArtifactRow,
    Base,
    FaceRow,
    ItemRow,
    JobRow,
    ModelRow,
    SegmentRow,
    TrackRow,
)
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.stages import Stage
from faces_jobs.jobs.status import ITEM_MOVES, ItemStatus, SegmentStatus

ImageOutcome = tuple[SegmentClaim, "SegmentResults | ErrorDocument"]
"""The claim on an image, with its results or the error that says why it can't be processed."""

_FACTS = ("kind", "format", "width", "height", "duration_ms")


def can_start_bundle(claim: SegmentClaim) -> bool:
    """Return whether other images may be claimed together with this one.

    An image that was tried before is processed alone, since it may have crashed its worker.
    """
    return claim.item_kind == "image" and claim.stage is Stage.WHOLE and claim.attempt == 1


def claim_rest_of_bundle(
    database: Database, claim: SegmentClaim, *, worker: str, lease_seconds: float, limit: int
) -> list[SegmentClaim]:
    """Claim up to `limit` more images of the claim's job that were not tried yet."""
    if limit < 1:
        return []
    free = (
        select(SegmentRow.id)
        .join(ItemRow, ItemRow.id == SegmentRow.item_id)
        .where(
            SegmentRow.job_id == claim.job_id,
            SegmentRow.status == SegmentStatus.QUEUED,
            SegmentRow.attempts == 0,
            SegmentRow.stage == Stage.WHOLE,
            is_ready(SegmentRow),
            has_active_job(),
            ItemRow.kind == "image",
        )
        .order_by(SegmentRow.id)
        .limit(limit)
        .with_for_update(of=SegmentRow, skip_locked=True, key_share=True)
    )
    with database.begin() as session:
        ids = session.scalars(free).all()
        session.execute(
            without_session_sync(update(SegmentRow))
            .where(SegmentRow.id.in_(ids))
            .values(**claimed_values(worker, token=claim.token, lease_seconds=lease_seconds))
        )
        rows = session.execute(
            select(SegmentRow.id.label("segment_id"), ItemRow)
            .join(ItemRow, ItemRow.id == SegmentRow.item_id)
            .where(SegmentRow.id.in_(ids))
            .order_by(SegmentRow.id)
        ).all()
        items = [row.ItemRow.id for row in rows]
        start = move_items(ItemStatus.RUNNING, ItemRow.id.in_(items), started_at=now_seconds())
        session.execute(without_session_sync(start))
    return [
        replace(
            claim,
            segment_id=row.segment_id,
            item_id=row.ItemRow.id,
            position=row.ItemRow.position,
            item_name=row.ItemRow.name,
            source=row.ItemRow.source or "",
            bytes=row.ItemRow.bytes,
            modified_ns=row.ItemRow.modified_ns,
        )
        for row in rows
    ]


def renew_bundle(
    database: Database,
    bundle: Bundle,
    *,
    lease_seconds: float,
    peak_memory_bytes: int | None = None,
) -> None:
    """Extend the lease of a bundle.

    Raises:
        CancelledError: the user cancelled the job.
        PausedError: the job is held; the claims stay valid, so that segments can be released.
        LeaseLostError: another worker holds one of the segments, or it was deleted.
    """
    renewal = (
        without_session_sync(update(SegmentRow))
        .where(are_held_by(bundle))
        .values(lease_until=now_seconds() + lease_seconds, peak_memory_bytes=peak_memory_bytes)
    )
    with database.begin() as session:
        _lock_claims(session, bundle)
        session.execute(renewal)
        status = session.scalar(select(JobRow.status).where(JobRow.id == bundle[0].job_id))
    if status is not None and not status.active:
        raise hold_error(status)


def finish_bundle(database: Database, results: Sequence[ImageOutcome]) -> bool:
    """Record the outcomes of a bundle's images, all or nothing.

    Returns whether the job is now to be finished.

    Raises:
        CancelledError, LeaseLostError: a claim is no longer valid; nothing was changed.
    """
    bundle = [claim for claim, _ in results]
    job_id = bundle[0].job_id
    with database.begin() as session:
        _lock_claims(session, bundle)
        _replace_rows(
            session,
            {
                claim.item_id: result
                for claim, result in results
                if isinstance(result, SegmentResults)
            },
            job_id,
        )
        _end_segments(session, results)
        _end_items(session, results)
        return start_finishing_if_done(session, job_id)


def _lock_claims(session: Session, bundle: Bundle) -> None:
    """Lock the claimed segments' rows.

    Raises:
        CancelledError, LeaseLostError: a claim is no longer valid.
    """
    valid = set(lock_segments(session, are_held_by(bundle)))
    for claim in bundle:
        if claim.segment_id not in valid:
            raise claim_lost_error(session, claim)


def _replace_rows(session: Session, by_item: Mapping[int, SegmentResults], job_id: str) -> None:
    """Replace the rows of these items, which an earlier attempt may have written."""
    # With SQLAlchemy Core, since the ORM has an overhead for each of these many rows.
    connection = session.connection()
    # Blocks of an earlier attempt are kept: they cover other images too (see `tables.blocks`).
    for old in (FaceRow, TrackRow, ModelRow, ArtifactRow):
        connection.execute(delete(old).where(old.item_id.in_(by_item)))
    rows: dict[type[Base], list[dict[str, Any]]] = {
        FaceRow: [
            face_values(job_id, item_id, face)
            for item_id, results in by_item.items()
            for face in results.faces
        ],
        TrackRow: [
            track_values(job_id, item_id, track)
            for item_id, results in by_item.items()
            for track in results.tracks
        ],
        ModelRow: [
            model_values(item_id, model)
            for item_id, results in by_item.items()
            for model in results.models
        ],
        ArtifactRow: [
            artifact_values(job_id, item_id, artifact)
            for item_id, results in by_item.items()
            for artifact in results.artifacts
        ],
    }
    for table, values in rows.items():
        if values:
            connection.execute(insert(table), values)
    write_block(
        connection,
        job_id,
        [(item_id, face) for item_id, results in by_item.items() for face in results.faces],
    )


def _end_segments(session: Session, results: Iterable[ImageOutcome]) -> None:
    now = now_seconds()
    moved = (
        update(SegmentRow)
        .where(SegmentRow.id == bindparam("segment_id"))
        .values(
            status=bindparam("to"),
            frames_done=bindparam("frames"),
            frames_shown=bindparam("frames"),
            frames_total=bindparam("total"),
            damaged_frames=bindparam("damaged"),
            last_error=bindparam("message"),
            error_code=bindparam("code"),
            lease_token=None,
            lease_until=None,
            ended_at=now,
        )
    )
    values = []
    for claim, result in results:
        error = _error_of(result)
        frames = result.frames if isinstance(result, SegmentResults) else 0
        values.append(
            {
                "segment_id": claim.segment_id,
                "to": SegmentStatus.SUCCEEDED if error is None else SegmentStatus.FAILED,
                "frames": frames,
                "total": frames if isinstance(result, SegmentResults) else 1,
                "damaged": result.damaged_frames if isinstance(result, SegmentResults) else 0,
                "message": None if error is None else error.message,
                "code": None if error is None else error.code,
            }
        )
    session.connection().execute(moved, values)


def _end_items(session: Session, results: Iterable[ImageOutcome]) -> None:
    legal = {
        *source_states(ITEM_MOVES, ItemStatus.SUCCEEDED),
        *source_states(ITEM_MOVES, ItemStatus.FAILED),
    }
    ended = (
        update(ItemRow)
        .where(
            ItemRow.id == bindparam("item_id"),
            # Not IN (...), which can't be expanded in an executemany.
            or_(*(ItemRow.status == state for state in legal)),
        )
        .values(
            status=bindparam("to"),
            error_code=bindparam("code"),
            error_message=bindparam("message"),
            ended_at=now_seconds(),
        )
    )
    ended_with_facts = ended.values(
        {name: bindparam(name) for name in (*_FACTS, "face_count", "track_count")}
    )
    with_facts, without = [], []
    for claim, result in results:
        error = _error_of(result)
        values: dict[str, Any] = {
            "item_id": claim.item_id,
            "to": ItemStatus.SUCCEEDED if error is None else ItemStatus.FAILED,
            "code": None if error is None else error.code,
            "message": None if error is None else error.message,
        }
        if isinstance(result, SegmentResults):
            values |= {name: getattr(result.facts, name) for name in _FACTS}
            values |= {
                "face_count": sum(1 for _ in result.faces),
                "track_count": len(result.tracks),
            }
            with_facts.append(values)
        else:
            without.append(values)
    for statement, rows in ((ended_with_facts, with_facts), (ended, without)):
        if rows:
            session.connection().execute(statement, rows)


def _error_of(result: SegmentResults | ErrorDocument) -> ErrorDocument | None:
    return result if isinstance(result, ErrorDocument) else result.error
