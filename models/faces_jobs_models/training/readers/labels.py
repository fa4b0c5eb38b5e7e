"""Collects the labels of a row by head, and maps spellings of other data sets to our labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from faces_jobs.jobs.labels import HEADS
from faces_jobs_models.training.readers.data_set import Skipped
from faces_jobs_models.training.readers.samples import Sample, one_hot

AGE_BANDS = (13, 36, 60)  # first age of young, middle and old
MAX_AGE = 120
RACES = ("white", "black", "asian", "indian", "others")  # by UTKFace's numbers 0..4

_MAX_SHOWN = 60  # characters of an unknown label that a message shows
_GROUPS = ("gender", "age")  # heads by whose labels figures are also broken down

# Other spellings of the same label, never other labels.
_SPELLINGS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "gender": {"f": "female", "m": "male"},
        "expression": {
            "angry": "anger",
            "disgusted": "disgust",
            "fearful": "fear",
            "happy": "happiness",
            "sad": "sadness",
            "surprised": "surprise",
        },
    }
)


class Labels:
    """The labels of one row. Unknown labels are counted in `skipped` and left out, never guessed.

    `source` is the prefix of the reasons in `skipped`.
    """

    def __init__(self, source: str, skipped: Skipped) -> None:
        self._source = source
        self._skipped = skipped
        self._targets: dict[str, NDArray[np.float32]] = {}
        self._truth: dict[str, int] = {}
        self._groups: dict[str, str] = {}

    def add(self, head: str, label: object, *, measured: bool = True) -> None:
        """Add a certain label. If not `measured`, it is used for training only."""
        known = canonical_label(head, label)
        if known is None:
            self.count_unknown(head, label)
            return
        target, index = one_hot(head, known)
        self._targets |= target
        if measured:
            self._truth |= index
        if head in _GROUPS:
            self._groups[head] = known

    def add_age(self, age: object) -> None:
        """Add an age in years, or the name of an age band."""
        if isinstance(age, str) and canonical_label("age", age) is not None:
            self.add("age", age)
            return
        years = _to_number(age)
        if years is None or not 0 <= years <= MAX_AGE:
            self.count_unknown("age", age)
            return
        band = age_band(years)
        self._targets["age"] = soft_age_band(years)
        self._truth["age"] = band
        self._groups["age"] = HEADS["age"][band]

    def add_mask(self, mask: object) -> None:
        """Add whether a mask covers the face, as occlusion `others` or `none`."""
        if mask not in (True, False):
            self.count_unknown("mask", mask)
        elif mask:
            self.add("occlusion", "others")
        else:
            # There may be glasses or a beard: good enough for training, not for evaluation.
            self.add("occlusion", "none", measured=False)

    def add_race(self, race: object) -> None:
        """Add a group to break figures down by: one of `RACES`, or its number."""
        number = _to_number(race)
        if isinstance(race, str) and race.strip().lower() in RACES:
            self._groups["race"] = race.strip().lower()
        elif number is not None and number in range(len(RACES)):
            self._groups["race"] = RACES[int(number)]
        elif race is not None:
            self.count_unknown("race", race)

    def add_votes(self, votes: Mapping[str, float], majority: str | None) -> bool:
        """Add the votes of FER+ as a distribution over the seven expressions.

        Votes for contempt, unknown and "not a face" are dropped; a picture that loses half of its
        votes or more is not used. The truth is the majority, if that is one of the seven.

        Returns:
            Whether the votes are used.
        """
        labels = HEADS["expression"]
        kept = np.array([votes[label] for label in labels], np.float32)
        if kept.sum() <= sum(votes.values()) - kept.sum():
            self.count("without a clear expression")
            return False
        self._targets["expression"] = kept / kept.sum()
        label = canonical_label("expression", majority)
        if label is not None:
            self._truth["expression"] = labels.index(label)
        return True

    def count_unknown(self, head: str, label: object) -> None:
        """Count a label that can't be used."""
        shown = repr(label)
        self.count(f"{head} {shown[:_MAX_SHOWN]}{'...' if len(shown) > _MAX_SHOWN else ''}")

    def count(self, reason: str) -> None:
        """Count why the row, or one of its labels, can't be used."""
        self._skipped[f"{self._source} {reason}"] += 1

    def sample(
        self, image: bytes | None, *, held_out: bool, group: str, size_px: int | None = None
    ) -> Sample | None:
        """Return the row's sample, or None if it has no picture, or no label to train with."""
        if image is None or not self._targets:
            return None
        return Sample(
            image=image,
            held_out=held_out,
            group=group,
            targets=self._targets,
            truth=self._truth,
            groups=self._groups,
            size_px=size_px,
        )


def canonical_label(head: str, label: object) -> str | None:
    """Return the head's label for a word in any case or spelling, or None if it is not a label."""
    if not isinstance(label, str):
        return None
    word = label.strip().lower()
    word = _SPELLINGS.get(head, {}).get(word, word)
    return word if word in HEADS[head] else None


def valid_votes(votes: Mapping[str, object]) -> dict[str, float] | None:
    """Return the votes as numbers; a missing one is 0. None if one is no number from 0 on."""
    counts: dict[str, float] = {}
    for label, value in votes.items():
        count = 0.0 if value is None else _to_number(value)
        if count is None or count < 0:
            return None
        counts[label] = count
    return counts


def single_winner(votes: Mapping[str, float]) -> str | None:
    """Return the label with most votes, or None on a tie."""
    most = max(votes.values())
    winners = [label for label, count in votes.items() if count == most]
    return winners[0] if len(winners) == 1 else None


def age_band(years: float) -> int:
    """Return the index of the band in the labels of the head `age`."""
    return sum(years >= first for first in AGE_BANDS)


def soft_age_band(years: float) -> NDArray[np.float32]:
    """Return the probability of each band for the apparent age, which is normally distributed.

    The standard deviation grows with age: half a year for babies, about six years at sixty.
    """
    deviation = 0.5 + 0.09 * years
    below = [
        0.5 * (1 + math.erf((first - 0.5 - years) / (deviation * math.sqrt(2))))
        for first in AGE_BANDS
    ]
    return np.diff(np.array([0.0, *below, 1.0])).astype(np.float32)


def _to_number(value: object) -> float | None:
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return None
    elif isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
    else:
        return None
    return number if math.isfinite(number) else None
