"""Cutting a video into parts, and recording what the stages of its parts produce.

Every change first checks the claim's token, as in `db.segments.endings`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from faces_jobs.db.claims.fencing import SegmentClaim, lock_claim, lock_segments
from faces_jobs.db.claims.release import UNTRIED_VALUES
from faces_jobs.db.moves import move_segments
from faces_jobs.db.results.artifacts import insert_artifacts
from faces_jobs.db.results.blocks import delete_blocks
from faces_jobs.db.results.item_facts import record_facts
from faces_jobs.db.results.outcomes import ItemFacts, NewArtifact
from faces_jobs.db.results.rows import replace_faces, replace_models, replace_tracks
from faces_jobs.db.segments.endings import end_segment
from faces_jobs.db.segments.stages import add_segment
from faces_jobs.db.session import Database
from faces_jobs.db.tables import (
    ArtifactRow,
    FaceRow,
    SegmentFileRow,
    SegmentRow,
    TrackRow,
)
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.records import FaceRecord, ModelVersion, TrackRecord
from faces_jobs.jobs.stages import Stage
from faces_jobs.jobs.status import SegmentStatus


@dataclass(frozen=True, slots=True)
class NewPart:
    """A part of a video that is to become a segment; its reader needs `document`."""

    first_frame: int
    frames: int
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """A stored file that a segment wrote for later stages.

    `number` is that of the part or track that it belongs to.
    """

    kind: str
    name: str
    number: int
    storage_key: str


@dataclass(frozen=True, slots=True)
class LinkResults:
    """The results of linking an item's parts; `draws` are the parts that are still to be drawn."""

    facts: ItemFacts
    tracks: Sequence[TrackRecord]
    models: Sequence[ModelVersion]
    files: Sequence[SegmentFile]
    draws: Sequence[dict[str, Any]]


def mark_uncut(database: Database, claim: SegmentClaim, reason: str) -> None:
    """Record that a video is not cut, and why.

    Raises:
        CancelledError, LeaseLostError: the claim is no longer valid; nothing was changed.
    """
    with database.begin() as session:
        lock_claim(session, claim)
        session.execute(
            update(SegmentRow)
            .where(SegmentRow.id == claim.segment_id)
            .values(stage=Stage.UNCUT, part={"reason": reason})
        )


def cut_item(database: Database, claim: SegmentClaim, parts: Sequence[NewPart]) -> list[int]:
    """Make segments of a video's parts; the claimed one becomes the first. Returns the others' ids.

    Raises:
        CancelledError, LeaseLostError: the claim is no longer valid; nothing was changed.
    """
    rows = [
        {
            "job_id": claim.job_id,
            "item_id": claim.item_id,
            "segment_index": index,
            "status": SegmentStatus.QUEUED,
            "stage": Stage.FIND,
            "part": part.document,
            "start_frame": part.first_frame,
            "end_frame": part.first_frame + part.frames,
            "frames_total": part.frames,
        }
        for index, part in enumerate(parts)
    ]
    rows[-1]["end_frame"] = None  # to the item's end, wherever that turns out to be
    with database.begin() as session:
        lock_claim(session, claim)
        first = {name: rows[0][name] for name in ("stage", "part", "end_frame", "frames_total")}
        session.execute(update(SegmentRow).where(SegmentRow.id == claim.segment_id).values(**first))
        return list(
            session.scalars(
                insert(SegmentRow).returning(SegmentRow.id, sort_by_parameter_order=True), rows[1:]
            )
        )


def revert_cut(database: Database, claim: SegmentClaim, reason: str) -> None:
    """Replace an item's segments by a single one, since its parts did not fit together.

    Workers that hold other segments of the item lose their claims.

    Raises:
        CancelledError, LeaseLostError: the claim is no longer valid; nothing was changed.
    """
    of_item = SegmentRow.item_id == claim.item_id
    with database.begin() as session:
        lock_segments(session, of_item)
        lock_claim(session, claim)
        shown, total = session.execute(
            select(func.sum(SegmentRow.frames_shown), func.sum(SegmentRow.frames_total)).where(
                of_item
            )
        ).one()
        for table in (FaceRow, TrackRow):
            session.execute(delete(table).where(table.item_id == claim.item_id))
        delete_blocks(session.connection(), claim.item_id)
        session.execute(delete(SegmentFileRow).where(SegmentFileRow.item_id == claim.item_id))
        session.execute(delete(SegmentRow).where(of_item, SegmentRow.id != claim.segment_id))
        session.execute(
            move_segments(
                SegmentStatus.QUEUED,
                SegmentRow.id == claim.segment_id,
                stage=Stage.UNCUT,
                part={"reason": reason},
                segment_index=0,
                start_frame=0,
                end_frame=None,
                frames_done=0,
                damaged_frames=0,
                # The progress that users see never decreases.
                frames_shown=int(shown or 0),
                frames_total=int(total or 0) or None,
                last_error=reason,
                **UNTRIED_VALUES,
            )
        )


def finish_part(
    database: Database,
    claim: SegmentClaim,
    files: Sequence[SegmentFile],
    *,
    faces: Sequence[FaceRecord] | None = None,
    frames: int | None = None,
    damaged_frames: int = 0,
    error: ErrorDocument | None = None,
) -> bool:
    """Record the results of one part of a video, and end its segment.

    `faces` are stored if given, which have to be linked to tracks. `frames` is the number of frames
    that the part turned out to have. Returns whether the job is now to be finished.

    Raises:
        CancelledError, LeaseLostError: the claim is no longer valid; nothing was changed.
    """
    with database.begin() as session:
        lock_claim(session, claim)
        _replace_files(session, claim, files)
        if faces is not None:
            replace_faces(
                session,
                job_id=claim.job_id,
                item_id=claim.item_id,
                faces=faces,
                start_frame=claim.start_frame,
                end_frame=claim.end_frame,
            )
        if frames is not None:
            session.execute(
                update(SegmentRow)
                .where(SegmentRow.id == claim.segment_id)
                .values(
                    frames_done=frames,
                    frames_shown=frames,
                    frames_total=frames,
                    damaged_frames=damaged_frames,
                )
            )
        return end_segment(session, segment_id=claim.segment_id, error=error)


def write_faces(
    database: Database,
    claim: SegmentClaim,
    faces: Iterable[FaceRecord],
    *,
    start_frame: int,
    end_frame: int | None,
) -> int:
    """Replace an item's faces in a run of frames by these, which have to be linked to tracks.

    Returns the number of faces.

    Raises:
        CancelledError, LeaseLostError: the claim is no longer valid; nothing was changed.
    """
    with database.begin() as session:
        lock_claim(session, claim)
        return replace_faces(
            session,
            job_id=claim.job_id,
            item_id=claim.item_id,
            faces=faces,
            start_frame=start_frame,
            end_frame=end_frame,
        )


def finish_link(database: Database, claim: SegmentClaim, results: LinkResults) -> bool:
    """Record the tracks of an item whose faces are stored, and add segments for the draw stage.

    Returns whether the job is now to be finished.

    Raises:
        CancelledError, LeaseLostError: the claim is no longer valid; nothing was changed.
    """
    with database.begin() as session:
        lock_claim(session, claim)
        tracks = replace_tracks(
            session, job_id=claim.job_id, item_id=claim.item_id, tracks=results.tracks
        )
        replace_models(session, claim.item_id, results.models)
        _replace_files(session, claim, results.files)
        faces = sum(track.face_count for track in results.tracks)
        record_facts(session, claim.item_id, results.facts, faces=faces, tracks=tracks)
        for draw in results.draws:
            add_segment(session, Stage.DRAW, job_id=claim.job_id, item_id=claim.item_id, part=draw)
        return end_segment(session, segment_id=claim.segment_id, error=None)


def finish_bind(database: Database, claim: SegmentClaim, artifacts: Sequence[NewArtifact]) -> bool:
    """Make an item's artifacts visible and end it. Returns whether the job is now to be finished.

    Raises:
        CancelledError, LeaseLostError: the claim is no longer valid; nothing was changed.
    """
    with database.begin() as session:
        lock_claim(session, claim)
        session.execute(delete(ArtifactRow).where(ArtifactRow.item_id == claim.item_id))
        insert_artifacts(session, claim.job_id, claim.item_id, artifacts)
        return end_segment(session, segment_id=claim.segment_id, error=None)


def _replace_files(session: Session, claim: SegmentClaim, files: Sequence[SegmentFile]) -> None:
    session.execute(delete(SegmentFileRow).where(SegmentFileRow.segment_id == claim.segment_id))
    values = [
        {
            "segment_id": claim.segment_id,
            "job_id": claim.job_id,
            "item_id": claim.item_id,
            "kind": file.kind,
            "name": file.name,
            "number": file.number,
            "storage_key": file.storage_key,
        }
        for file in files
    ]
    if values:
        session.execute(insert(SegmentFileRow), values)
