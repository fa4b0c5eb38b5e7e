"""Simulates a worker: claims segments and records results with the functions of workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import select

from faces_jobs.db.claims.fencing import SegmentClaim
from faces_jobs.db.claims.leases import claim_job, claim_segment
from faces_jobs.db.jobs.endings import finish_job
from faces_jobs.db.results.outcomes import ItemFacts, NewArtifact, SegmentResults
from faces_jobs.db.segments.endings import fail_segment, finish_segment
from faces_jobs.db.session import Database
from faces_jobs.db.tables import SegmentRow
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.records import Attribute, FaceRecord, ModelVersion, TrackRecord
from faces_jobs.jobs.status import JobStatus
from faces_jobs.storage import Storage
from tests.unit.web.media_files import png

FRAMES = 6
MP4 = b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2" + bytes(range(256)) * 40
CSV = b"item,frame_index\r\nface.png,0\r\n"


def attributes(
    gender: str = "female", probability: float = 0.9, *, expression: str = "happiness"
) -> dict[str, Attribute]:
    """One attribute for each head."""
    return {
        "gender": Attribute(gender, probability),
        "expression": Attribute(expression, 0.8),
        "illumination": Attribute("high", 0.7),
        "pose": Attribute("frontal", 0.95),
        "occlusion": Attribute("none", 0.6),
        "age": Attribute("young", 0.75),
        "makeup": Attribute("partial", 0.65),
    }


def claim(database: Database, job_id: str) -> list[SegmentClaim]:
    """Claim all queued segments of a job."""
    with database.read() as session:
        statement = select(SegmentRow.id).where(SegmentRow.job_id == job_id).order_by(SegmentRow.id)
        ids = session.scalars(statement).all()
    claims = [
        claim_segment(database, one, worker="test", lease_seconds=60, max_attempts=3) for one in ids
    ]
    return [one for one in claims if one is not None]


def faces(expression: str = "happiness") -> list[FaceRecord]:
    """Two faces in each frame: female on the left (track 1), male on the right (track 2)."""
    found = []
    for frame in range(FRAMES):
        left = FaceRecord(
            frame_index=frame,
            time_ms=frame * 500.0,
            face_index=0,
            track=1,
            box_xyxy=(10.0, 10.0, 40.0, 50.0),
            score=0.9,
            attributes=attributes("female", 0.5 + frame * 0.08, expression=expression),
        )
        right = replace(
            left,
            face_index=1,
            track=2,
            box_xyxy=(60.0, 10.0, 90.0, 50.0),
            score=0.6,
            attributes=attributes("male", 0.97, expression=expression),
        )
        found += [left, right]
    return found


def tracks(expression: str = "happiness") -> list[TrackRecord]:
    """The two tracks of `faces`."""
    return [
        TrackRecord(
            track=number,
            first_frame_index=0,
            last_frame_index=FRAMES - 1,
            first_time_ms=0.0,
            last_time_ms=(FRAMES - 1) * 500.0,
            face_count=FRAMES,
            mean_score=score,
            best_frame_index=2,
            best_time_ms=1000.0,
            best_box_xyxy=(10.0, 10.0, 40.0, 50.0),
            attributes=attributes(gender, 0.93, expression=expression),
        )
        for number, gender, score in ((1, "female", 0.9), (2, "male", 0.6))
    ]


def finish(
    database: Database,
    storage: Storage,
    job_id: str,
    *,
    name: str | None = None,
    expression: str = "happiness",
    damaged_frames: int = 0,
) -> JobStatus:
    """Finish a job: its items get two tracks, annotated copies and a thumbnail, the job a table."""
    last = False
    for one in claim(database, job_id):
        last = finish_one(
            database,
            storage,
            one,
            name=name,
            expression=expression,
            damaged_frames=damaged_frames,
        )
    assert last
    return finish_exports(database, storage, job_id)


def finish_one(
    database: Database,
    storage: Storage,
    one: SegmentClaim,
    *,
    name: str | None = None,
    expression: str = "happiness",
    damaged_frames: int = 0,
) -> bool:
    """Finish one item of `finish`; returns whether it was the last."""
    artifacts = _published(
        storage,
        one.job_id,
        str(one.item_id),
        one.token,
        (
            ("annotated_video", f"{name or one.item_name}.mp4", "video/mp4", MP4, None),
            ("annotated_image", f"{one.item_name}.png", "image/png", png(), None),
            ("thumbnail", f"{one.item_name}-1.png", "image/png", png(), 1),
        ),
    )
    return finish_segment(
        database,
        one,
        SegmentResults(
            facts=ItemFacts("video", "mov", 100, 60, 3000.0),
            frames=FRAMES,
            faces=faces(expression),
            tracks=tracks(expression),
            artifacts=artifacts,
            models=[ModelVersion("gender", "1", "a" * 64, {"gender": 0.7})],
            damaged_frames=damaged_frames,
        ),
    )


def finish_exports(database: Database, storage: Storage, job_id: str) -> JobStatus:
    """Write the exports of a job whose items have all ended."""
    job_claim = claim_job(database, job_id, worker="test", lease_seconds=60, max_attempts=3)
    assert job_claim is not None
    exports = (("faces_csv", "faces.csv", "text/csv; charset=utf-8", CSV, None),)
    return finish_job(
        database, job_claim, _published(storage, job_id, "job", job_claim.token, exports)
    )


def fail(database: Database, one: SegmentClaim, code: str, message: str) -> bool:
    """End a segment with an error."""
    return fail_segment(database, one, ErrorDocument(code=code, message=message))


def _published(
    storage: Storage,
    job_id: str,
    owner: str,
    token: str,
    files: Sequence[tuple[str, str, str, bytes, int | None]],
) -> list[NewArtifact]:
    with storage.workspace(token) as workspace:
        folder = workspace / "out"
        folder.mkdir()
        for number, (_, _, _, content, _) in enumerate(files):
            (folder / str(number)).write_bytes(content)
        stored = storage.publish(folder, job_id=job_id, owner=owner, token=token)
    return [
        NewArtifact(
            kind=kind,
            name=name,
            media_type=media_type,
            bytes=stored[str(number)].bytes,
            sha256=stored[str(number)].sha256,
            storage_key=stored[str(number)].key,
            track=track,
        )
        for number, (kind, name, media_type, _, track) in enumerate(files)
    ]
