"""The outcomes of work that are written to the database: results, facts of files, artifacts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.records import FaceRecord, ModelVersion, TrackRecord


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """A stored file for which a row is to be inserted, which makes it visible."""

    kind: str
    name: str
    media_type: str
    bytes: int
    sha256: str
    storage_key: str
    track: int | None = None


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """The properties of a media file, known once it was opened."""

    kind: str
    format: str
    width: int
    height: int
    duration_ms: float | None


@dataclass(frozen=True, slots=True)
class SegmentResults:
    """The results of a segment.

    With an `error` (of a truncated file) its item fails, and the results up to there are kept.
    """

    facts: ItemFacts
    frames: int
    faces: Iterable[FaceRecord]
    tracks: Sequence[TrackRecord]
    artifacts: Sequence[NewArtifact]
    models: Sequence[ModelVersion]
    error: ErrorDocument | None = None
    damaged_frames: int = 0
