"""What can be asked of faces and tracks: filters, validated in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_PAGE_SIZE = 1000
DEFAULT_PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class AttributeFilter:
    """Keep faces whose `head` has one of `labels` (any if empty) with at least this probability.

    `unsure` can be asked for like a label; its probability is that of the likeliest label.
    """

    labels: tuple[str, ...] = ()
    min_probability: float | None = None
    max_probability: float | None = None


@dataclass(frozen=True, slots=True)
class FaceQuery:
    """Filters that are all to hold; None and empty mean no filter. Times in ms, ends included."""

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
    """Filters on settled attributes; all are to hold. Times: the track overlaps the range."""

    job_id: str
    item_id: int | None = None
    min_time_ms: float | None = None
    max_time_ms: float | None = None
    attributes: Mapping[str, AttributeFilter] = field(default_factory=dict)
    cursor: str | None = None
    limit: int = DEFAULT_PAGE_SIZE
