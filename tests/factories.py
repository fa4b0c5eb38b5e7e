"""Factories of rows and records: tests pass the fields that matter, the rest has defaults."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from faces_jobs.db.claims.fencing import SegmentClaim
from faces_jobs.db.claims.leases import claim_segment
from faces_jobs.db.jobs.changes import NewItem, store_job
from faces_jobs.db.results.outcomes import ItemFacts, NewArtifact, SegmentResults
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ItemRow
from faces_jobs.errors import EmptyFileError
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.records import Attribute, FaceRecord, ModelVersion, TrackRecord
from faces_jobs.jobs.spec import JobSpec

FRAME_MS = 40.0
MODELS = (ModelVersion(name="gender", version="1", sha256=hashlib.sha256(b"gender").hexdigest()),)


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job in the database, with the ids of its items and segments in order."""

    id: str
    items: tuple[int, ...]
    segments: tuple[int, ...]


def stored_job(
    database: Database,
    names: Sequence[str] = ("a.mp4",),
    *,
    spec: JobSpec | None = None,
    refused: Sequence[str] = (),
    root: str | None = None,
    owner: str = "",
) -> StoredJob:
    """Store a queued job with one item per name; those in `refused` start as failed."""
    job_id = str(uuid.uuid4())
    items = [
        NewItem(
            name=name,
            bytes=100,
            source=None if name in refused else f"jobs/{job_id}/uploads/{position}",
            kind="image" if name.endswith(".png") else "video",
            error=EmptyFileError("Empty.") if name in refused else None,
        )
        for position, name in enumerate(names)
    ]
    with database.begin() as session:
        segments = store_job(session, job_id, spec or JobSpec(), items, root=root, owner=owner)
        ids = session.scalars(
            select(ItemRow.id).where(ItemRow.job_id == job_id).order_by(ItemRow.position)
        ).all()
    return StoredJob(job_id, tuple(ids), tuple(segments))


def new_claim(
    database: Database,
    segment_id: int,
    *,
    worker: str = "alice",
    lease_seconds: float = 60.0,
    max_attempts: int = 3,
) -> SegmentClaim:
    """Claim a segment; the test fails if it can't be claimed."""
    claim = claim_segment(
        database,
        segment_id,
        worker=worker,
        lease_seconds=lease_seconds,
        max_attempts=max_attempts,
    )
    assert claim is not None
    return claim


def face(
    frame_index: int = 0,
    face_index: int = 0,
    *,
    track: int = 1,
    score: float = 0.9,
    **labels: str | tuple[str, float],
) -> FaceRecord:
    """Make a face: `face(3, gender="female", age=("old", 0.6))`. The default probability is 0.8."""
    return FaceRecord(
        frame_index=frame_index,
        time_ms=frame_index * FRAME_MS,
        face_index=face_index,
        track=track,
        box_xyxy=(10.0, 20.5, 50.25, 60.0),
        score=score,
        attributes=attributes(labels),
    )


def track(number: int = 1, *, frames: int = 1, **labels: str | tuple[str, float]) -> TrackRecord:
    """Make a track through the first `frames` frames."""
    return TrackRecord(
        track=number,
        first_frame_index=0,
        last_frame_index=frames - 1,
        first_time_ms=0.0,
        last_time_ms=(frames - 1) * FRAME_MS,
        face_count=frames,
        mean_score=0.9,
        best_frame_index=0,
        best_time_ms=0.0,
        best_box_xyxy=(10.0, 20.5, 50.25, 60.0),
        attributes=attributes(labels),
    )


def attributes(labels: Mapping[str, str | tuple[str, float]]) -> dict[str, Attribute]:
    """Make attributes from labels, each alone (probability 0.8) or with its probability."""
    return {
        head: Attribute(label, 0.8) if isinstance(label, str) else Attribute(*label)
        for head, label in labels.items()
    }


def results(
    faces: Sequence[FaceRecord] = (),
    tracks: Sequence[TrackRecord] = (),
    *,
    artifacts: Sequence[NewArtifact] = (),
    frames: int = 1,
    error: ErrorDocument | None = None,
) -> SegmentResults:
    """Make the results of one segment of a small video."""
    return SegmentResults(
        facts=ItemFacts(kind="video", format="mov", width=64, height=48, duration_ms=1000.0),
        frames=frames,
        faces=faces,
        tracks=tracks,
        artifacts=artifacts,
        models=MODELS,
        error=error,
    )


def artifact(name: str = "0-a.annotated.mp4", *, kind: str = "annotated_video") -> NewArtifact:
    """Make a new artifact whose file does not exist."""
    return NewArtifact(
        kind=kind,
        name=name,
        media_type="video/mp4",
        bytes=3,
        sha256=hashlib.sha256(b"abc").hexdigest(),
        storage_key=f"jobs/{uuid.uuid4()}/artifacts/1-x/{name}",
    )
