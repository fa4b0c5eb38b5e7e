"""What came of work, as it is handed to the database: facts of a file, results, artifacts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.records import FaceRecord, ModelVersion, TrackRecord


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
    damaged_frames: int = 0
