"""What the faces of a track say together: settled attributes, the best shot, the track's record.

Votes are means of probabilities, weighted by how much a face can be trusted. Means of
logarithms would let one crop with a probability near 0 veto a label that all others see.
Whether a track is sure is asked of that mean: many doubtful faces that agree, and few sure ones
that do not, are told apart by it, and not by counting how many were `unsure` by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from faces_jobs.jobs.labels import HEADS, UNSURE
from faces_jobs.jobs.records import Attribute, Attributes, FaceRecord, TrackRecord
from faces_jobs.pipeline.values import Opinion

# What can change while we look: drawn labels follow it with this half-life. The other heads,
# and the record of the whole track, weigh all faces alike.
CHANGING_HEADS = frozenset({"expression", "pose", "illumination", "occlusion"})
HALF_LIFE_MS = 700.0
# From this many pixels on a larger face tells the networks no more.
TELLING_SIDE = 64.0
_LEAST_WEIGHT = 1e-3

UnsureBelow = Mapping[str, float]
"""Head name to the probability below which its answer is `unsure`; absent: never."""
_NEVER: UnsureBelow = MappingProxyType({})


def best_labels(opinion: Opinion, unsure_below: UnsureBelow = _NEVER) -> dict[str, Attribute]:
    """The likeliest label of each head of an opinion, or `unsure`, with its probability."""
    return {
        head: _best(head, probabilities, unsure_below) for head, probabilities in opinion.items()
    }


def weight_of(record: FaceRecord) -> float:
    """How much one face counts: by the detector's score and, below 64 pixels, its size."""
    left, top, right, bottom = record.box_xyxy
    side = max(right - left, bottom - top)
    return max(_LEAST_WEIGHT, record.score * min(1.0, side / TELLING_SIDE))


@dataclass(slots=True)
class _Ballot:
    """The votes of one track."""

    first: FaceRecord
    last: FaceRecord
    best: FaceRecord
    best_quality: float
    count: int = 0
    score_sum: float = 0.0
    sums: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    recent: dict[str, NDArray[np.float64]] = field(default_factory=dict)


class Votes:
    """Collects the faces of one item, track by track. Memory: some numbers a track."""

    def __init__(self, unsure_below: UnsureBelow = _NEVER) -> None:
        self._unsure_below = unsure_below
        self._ballots: dict[int, _Ballot] = {}

    def add(self, record: FaceRecord, opinion: Opinion, quality: float) -> Attributes:
        """Count one face, in order of time; what its track has settled to so far, to be drawn.

        That is worked out when it is looked at: most jobs draw nothing.
        """
        ballot = self._ballots.get(record.track)
        if ballot is None:
            ballot = _Ballot(record, record, record, quality)
            self._ballots[record.track] = ballot
        kept = 0.5 ** ((record.time_ms - ballot.last.time_ms) / HALF_LIFE_MS)
        weight = weight_of(record)
        for head, probabilities in opinion.items():
            vote = np.asarray(probabilities, np.float64) * weight
            ballot.sums[head] = ballot.sums.get(head, 0) + vote
            if head in CHANGING_HEADS:
                ballot.recent[head] = ballot.recent.get(head, 0) * kept + vote
        if quality > ballot.best_quality:
            ballot.best, ballot.best_quality = record, quality
        ballot.last = record
        ballot.count += 1
        ballot.score_sum += record.score
        sums = {**ballot.sums, **ballot.recent}
        return _LateAttributes(lambda: self._settled(sums))

    def tracks(self) -> list[TrackRecord]:
        """The records of all tracks, by number."""
        return [
            _record(number, ballot, self._settled(ballot.sums))
            for number, ballot in sorted(self._ballots.items())
        ]

    def _settled(self, sums: Mapping[str, NDArray[np.float64]]) -> dict[str, Attribute]:
        return {
            # What `votes.sum()` does, in half of its time.
            head: _best(head, votes / np.add.reduce(votes), self._unsure_below)
            for head, votes in sums.items()
        }


class _LateAttributes(Mapping[str, Attribute]):
    """Attributes that are worked out when one is first asked for."""

    __slots__ = ("_known", "_settle")

    def __init__(self, settle: Callable[[], Attributes]) -> None:
        self._settle: Callable[[], Attributes] | None = settle
        self._known: Attributes = {}

    def _attributes(self) -> Attributes:
        if self._settle is not None:
            self._known, self._settle = self._settle(), None
        return self._known

    def __getitem__(self, head: str) -> Attribute:
        return self._attributes()[head]

    def __iter__(self) -> Iterator[str]:
        return iter(self._attributes())

    def __len__(self) -> int:
        return len(self._attributes())


def _record(number: int, ballot: _Ballot, attributes: Attributes) -> TrackRecord:
    return TrackRecord(
        track=number,
        first_frame_index=ballot.first.frame_index,
        last_frame_index=ballot.last.frame_index,
        first_time_ms=ballot.first.time_ms,
        last_time_ms=ballot.last.time_ms,
        face_count=ballot.count,
        mean_score=ballot.score_sum / ballot.count,
        best_frame_index=ballot.best.frame_index,
        best_time_ms=ballot.best.time_ms,
        best_box_xyxy=ballot.best.box_xyxy,
        attributes=attributes,
    )


def _best(head: str, probabilities: NDArray[np.floating], unsure_below: UnsureBelow) -> Attribute:
    likeliest = int(probabilities.argmax())
    probability = min(1.0, max(0.0, float(probabilities[likeliest])))
    sure = probability >= unsure_below.get(head, 0.0)
    return Attribute(HEADS[head][likeliest] if sure else UNSURE, probability)
