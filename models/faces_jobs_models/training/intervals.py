"""95 % intervals of shares, of balanced accuracy, and of both where faces come in groups."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Z = 1.959963984540054  # 97.5 % of a normal distribution lie below
_ENDS = (0.025, 0.975)
_ROUNDS = 4000
_SEED = 20260101
_NUMBERS_AT_ONCE = 2_000_000

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Intervals:
    """Of accuracy, of balanced accuracy, and of the recall of each label; None without a face."""

    accuracy: Interval
    balanced: Interval
    recall: Sequence[Interval | None]


def intervals_of(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], group: NDArray[np.str_], *, labels: int
) -> Intervals:
    """What the figures of these faces could have been, had others of their kind been measured.

    Where a group has several faces, such as the frames of an actor, groups are drawn again, not
    faces: a bootstrap of clusters (C. A. Field, A. H. Welsh: "Bootstrapping clustered data", JRSS B
    69, 2007). What it says of few groups is too little, so an interval is never narrower than
    that of faces drawn one by one.

    Args:
        truth: (n,) label indices, all known; n is not 0.
        answers: (n,) label indices.
        group: (n,) names.
        labels: how many there are.
    """
    right = np.bincount(truth[truth == predicted], minlength=labels)
    counts = np.bincount(truth, minlength=labels)
    by_face = Intervals(
        wilson_interval(int(right.sum()), int(counts.sum())),
        balanced_interval(right.tolist(), counts.tolist()),
        [
            wilson_interval(*pair) if pair[1] else None
            for pair in zip(right.tolist(), counts.tolist(), strict=True)
        ],
    )
    _, of_face = np.unique(group, return_inverse=True)
    groups = int(of_face.max()) + 1
    if groups == len(truth):
        return by_face
    of_group = np.zeros((2, groups, labels))
    np.add.at(of_group[0], (of_face, truth), truth == predicted)
    np.add.at(of_group[1], (of_face, truth), 1)
    return _wider(by_face, _by_group(*of_group))


def wilson_interval(right: int, n: int) -> Interval:
    """The interval of a share of `right` in `n` (Wilson 1927), which also holds near 0 and 1.

    Raises:
        ValueError: there are no cases, or more right ones than cases.
    """
    if not 0 <= right <= n or not n:
        raise ValueError(f"{right} of {n} is no share")
    share = right / n
    spread = _Z * _Z / n
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    # In theory 0 and 1 themselves are reached; in floats only nearly.
    low = 0.0 if right == 0 else max(0.0, middle - half)
    high = 1.0 if right == n else min(1.0, middle + half)
    return low, high


def balanced_interval(right: Sequence[int], n: Sequence[int]) -> Interval:
    """The interval of the mean recall, by a bootstrap within each label, with a fixed seed.

    Drawing n faces again from n of which some are right is a binomial draw, so no face has to be
    looked at again.

    Args:
        right: faces of each label that were answered right.
        n: faces of each label; labels without any are left out.

    Raises:
        ValueError: no label has a face.
    """
    counts = np.array([(one, of) for one, of in zip(right, n, strict=True) if of])
    if not len(counts):
        raise ValueError("no label has a face")
    random = np.random.default_rng(_SEED)
    drawn = random.binomial(counts[:, 1], counts[:, 0] / counts[:, 1], (_ROUNDS, len(counts)))
    low, high = np.quantile((drawn / counts[:, 1]).mean(axis=1), _ENDS)
    return float(low), float(high)


def _by_group(right: NDArray[np.float64], n: NDArray[np.float64]) -> Intervals:
    """(groups, labels) both: faces of each label in each group, and those answered right."""
    drawn = list(_draws(len(n)))
    rights = np.concatenate([times @ right for times in drawn])
    counts = np.concatenate([times @ n for times in drawn])
    recall = np.divide(rights, counts, out=np.full_like(rights, np.nan), where=counts > 0)
    return Intervals(
        _ends(rights.sum(axis=1) / counts.sum(axis=1)),
        _ends(np.nanmean(recall, axis=1)),  # of the labels that occur, as the figure itself
        [_ends(one[np.isfinite(one)]) if np.isfinite(one).any() else None for one in recall.T],
    )


def _draws(groups: int) -> Iterator[NDArray[np.int64]]:
    """(rounds, groups): how often each group is drawn, as many of them as there are."""
    random = np.random.default_rng(_SEED)
    at_once = max(1, _NUMBERS_AT_ONCE // groups)
    for start in range(0, _ROUNDS, at_once):
        rounds = min(at_once, _ROUNDS - start)
        yield random.multinomial(groups, np.full(groups, 1 / groups), size=rounds)


def _ends(drawn: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(drawn, _ENDS)
    return float(low), float(high)


def _wider(one: Intervals, other: Intervals) -> Intervals:
    recall = [
        _both(first, second) if first and second else None
        for first, second in zip(one.recall, other.recall, strict=True)
    ]
    return Intervals(
        _both(one.accuracy, other.accuracy), _both(one.balanced, other.balanced), recall
    )


def _both(one: Interval, other: Interval) -> Interval:
    return min(one[0], other[0]), max(one[1], other[1])
