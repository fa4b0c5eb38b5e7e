"""Combines the faces of a track: settled attributes, best shot and the record of the track.

The probabilities of a track are the mean over its faces, weighted by their reliability. A mean of
logarithms would let one crop with a probability near 0 veto a label that all others support.
The thresholds for `unsure` apply to that mean, not to a count of `unsure` faces: many doubtful
faces that agree make a track sure, a few sure ones that disagree don't.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from faces_jobs.jobs.labels import HEADS, UNSURE
from faces_jobs.jobs.records import Attribute, Attributes, FaceRecord, TrackRecord
from faces_jobs.pipeline.values import Opinion

# Heads that can change within a track: for drawing, older votes on them decay with this half-life.
# For the other heads, and in the record of the whole track, votes don't decay.
CHANGING_HEADS = frozenset({"expression", "pose", "illumination", "occlusion"})
HALF_LIFE_MS = 700.0
# Faces of this many pixels have full weight: the networks gain nothing from larger ones.
FULL_WEIGHT_SIDE = 64.0
_MIN_WEIGHT = 1e-3

UnsureBelow = Mapping[str, float]
"""Head name to its threshold for `unsure`; heads that are absent have none."""


def best_labels(opinion: Opinion, unsure_below: UnsureBelow) -> dict[str, Attribute]:
    """Return the most likely label of each head, or `unsure`, with its probability."""
    return {
        head: _best(head, probabilities, unsure_below) for head, probabilities in opinion.items()
    }


def weight_of(record: FaceRecord) -> float:
    """Return the weight of a face's vote: its score times, below 64 pixels, its relative size."""
    left, top, right, bottom = record.box_xyxy
    side = max(right - left, bottom - top)
    return max(_MIN_WEIGHT, record.score * min(1.0, side / FULL_WEIGHT_SIDE))


@dataclass(slots=True)
class _TrackVotes:
    """The votes of one track. `recent` holds those that decay."""

    first: FaceRecord
    last: FaceRecord
    best: FaceRecord
    best_quality: float
    count: int = 0
    score_sum: float = 0.0
    sums: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    recent: dict[str, NDArray[np.float64]] = field(default_factory=dict)


class Votes:
    """Collects the votes of one item by track. Memory: a few numbers per track."""

    def __init__(self, unsure_below: UnsureBelow) -> None:
        self._unsure_below = unsure_below
        self._by_track: dict[int, _TrackVotes] = {}

    def add(self, record: FaceRecord, opinion: Opinion, quality: float) -> Attributes:
        """Add a face, in order of time. Returns what its track has settled to so far, for drawing.

        The result is computed on first access, because most jobs draw nothing.
        """
        votes = self._by_track.get(record.track)
        if votes is None:
            votes = _TrackVotes(record, record, record, quality)
            self._by_track[record.track] = votes
        decay = 0.5 ** ((record.time_ms - votes.last.time_ms) / HALF_LIFE_MS)
        weight = weight_of(record)
        for head, probabilities in opinion.items():
            vote = np.asarray(probabilities, np.float64) * weight
            votes.sums[head] = votes.sums.get(head, 0) + vote
            if head in CHANGING_HEADS:
                votes.recent[head] = votes.recent.get(head, 0) * decay + vote
        if quality > votes.best_quality:
            votes.best, votes.best_quality = record, quality
        votes.last = record
        votes.count += 1
        votes.score_sum += record.score
        sums = {**votes.sums, **votes.recent}
        return _LazyAttributes(lambda: self._settled(sums))

    def tracks(self) -> list[TrackRecord]:
        """Return the records of all tracks, sorted by number."""
        return [
            _record(number, votes, self._settled(votes.sums))
            for number, votes in sorted(self._by_track.items())
        ]

    def _settled(self, sums: Mapping[str, NDArray[np.float64]]) -> dict[str, Attribute]:
        return {
            # The same as `votes.sum()`, in half the time.
            head: _best(head, votes / np.add.reduce(votes), self._unsure_below)
            for head, votes in sums.items()
        }


class _LazyAttributes(Mapping[str, Attribute]):
    """Attributes that are computed on first access."""

    __slots__ = ("_cached", "_compute")

    def __init__(self, compute: Callable[[], Attributes]) -> None:
        self._compute: Callable[[], Attributes] | None = compute
        self._cached: Attributes = {}

    def _attributes(self) -> Attributes:
        if self._compute is not None:
            self._cached, self._compute = self._compute(), None
        return self._cached

    def __getitem__(self, head: str) -> Attribute:
        return self._attributes()[head]

    def __iter__(self) -> Iterator[str]:
        return iter(self._attributes())

    def __len__(self) -> int:
        return len(self._attributes())


def _record(number: int, votes: _TrackVotes, attributes: Attributes) -> TrackRecord:
    return TrackRecord(
        track=number,
        first_frame_index=votes.first.frame_index,
        last_frame_index=votes.last.frame_index,
        first_time_ms=votes.first.time_ms,
        last_time_ms=votes.last.time_ms,
        face_count=votes.count,
        mean_score=votes.score_sum / votes.count,
        best_frame_index=votes.best.frame_index,
        best_time_ms=votes.best.time_ms,
        best_box_xyxy=votes.best.box_xyxy,
        attributes=attributes,
    )


def _best(head: str, probabilities: NDArray[np.floating], unsure_below: UnsureBelow) -> Attribute:
    best = int(probabilities.argmax())
    probability = min(1.0, max(0.0, float(probabilities[best])))
    is_sure = probability >= unsure_below.get(head, 0.0)
    return Attribute(HEADS[head][best] if is_sure else UNSURE, probability)
