"""Queries for faces and tracks: their filters and page limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_PAGE_SIZE = 1000
DEFAULT_PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class AttributeFilter:
    """Keep faces whose attribute is one of `labels` (any if empty), within a probability range.

    `unsure` can be used like a label; its probability is that of the most probable label.
    """

    labels: tuple[str, ...] = ()
    min_probability: float | None = None
    max_probability: float | None = None


@dataclass(frozen=True, slots=True)
class FaceQuery:
    """Filters on faces, combined by AND; None and empty mean no filter. Ranges are inclusive."""

    job_id: str | None = None
    item_id: int | None = None
    track: int | None = None
    min_time_ms: float | None = None
    max_time_ms: float | None = None
    min_score: float | None = None
    attributes: Mapping[str, AttributeFilter] = field(default_factory=dict)
    cursor: str | None = None
    limit: int = DEFAULT_PAGE_SIZE


@dataclass(frozen=True, slots=True)
class TrackQuery:
    """Filters on tracks, combined by AND. A track matches every time range that it overlaps."""

    job_id: str
    item_id: int | None = None
    min_time_ms: float | None = None
    max_time_ms: float | None = None
    attributes: Mapping[str, AttributeFilter] = field(default_factory=dict)
    cursor: str | None = None
    limit: int = DEFAULT_PAGE_SIZE
