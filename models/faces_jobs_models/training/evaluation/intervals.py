"""95 % confidence intervals of accuracy, balanced accuracy and recall, also for grouped faces."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Z = 1.959963984540054  # the 97.5 % quantile of the normal distribution
_QUANTILES = (0.025, 0.975)
_RESAMPLES = 4000  # of a bootstrap
_SEED = 20260101
_MAX_DRAWS_IN_MEMORY = 2_000_000

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Intervals:
    """Intervals of accuracy, balanced accuracy, and the recall of each label (None: no face)."""

    accuracy: Interval
    balanced: Interval
    recall: Sequence[Interval | None]


def intervals_of(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], group: NDArray[np.str_], *, labels: int
) -> Intervals:
    """Compute 95 % confidence intervals of the figures of these faces.

    If groups have several faces, such as the frames of an actor, whole groups are resampled: a
    cluster bootstrap (C. A. Field, A. H. Welsh: "Bootstrapping clustered data", JRSS B 69, 2007).
    With few groups its intervals are too narrow, so none is reported narrower than that of
    independent faces.

    Args:
        truth: (n,) label indices, all known; n is not 0.
        predicted: (n,) label indices.
        group: (n,) names.
        labels: number of labels.
    """
    correct = np.bincount(truth[truth == predicted], minlength=labels)
    counts = np.bincount(truth, minlength=labels)
    of_faces = Intervals(
        wilson_interval(int(correct.sum()), int(counts.sum())),
        balanced_interval(correct.tolist(), counts.tolist()),
        [
            wilson_interval(*pair) if pair[1] else None
            for pair in zip(correct.tolist(), counts.tolist(), strict=True)
        ],
    )
    _, group_of_face = np.unique(group, return_inverse=True)
    groups = int(group_of_face.max()) + 1
    if groups == len(truth):
        return of_faces
    correct_in_group, count_in_group = np.zeros((2, groups, labels))
    np.add.at(correct_in_group, (group_of_face, truth), truth == predicted)
    np.add.at(count_in_group, (group_of_face, truth), 1)
    return _wider(of_faces, _cluster_bootstrap(correct_in_group, count_in_group))


def wilson_interval(correct: int, n: int) -> Interval:
    """Return the interval of a share (Wilson 1927), which is also valid near 0 and 1.

    Raises:
        ValueError: `n` is 0, or `correct` is negative or more than `n`.
    """
    if not 0 <= correct <= n or not n:
        raise ValueError(f"{correct} of {n} is not a share")
    share = correct / n
    spread = _Z * _Z / n
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    # For shares of 0 and 1 the interval ends there exactly; floats would miss it narrowly.
    low = 0.0 if correct == 0 else max(0.0, middle - half)
    high = 1.0 if correct == n else min(1.0, middle + half)
    return low, high


def balanced_interval(correct: Sequence[int], n: Sequence[int]) -> Interval:
    """Return the interval of the mean recall, by a bootstrap within each label, with a fixed seed.

    Resampling n faces, of which some are correct, is a binomial draw, so that single faces are not
    needed.

    Args:
        correct: number of correct faces of each label.
        n: number of faces of each label; labels without a face are left out.

    Raises:
        ValueError: no label has a face.
    """
    counts = np.array([(one, of) for one, of in zip(correct, n, strict=True) if of])
    if not len(counts):
        raise ValueError("no label has a face")
    rng = np.random.default_rng(_SEED)
    drawn = rng.binomial(counts[:, 1], counts[:, 0] / counts[:, 1], (_RESAMPLES, len(counts)))
    return _percentile_interval((drawn / counts[:, 1]).mean(axis=1))


def _cluster_bootstrap(correct: NDArray[np.float64], n: NDArray[np.float64]) -> Intervals:
    """Resample groups; both arguments are counts of faces, (groups, labels)."""
    draws = list(_resample_groups(len(n)))
    drawn_correct = np.concatenate([times @ correct for times in draws])
    drawn_n = np.concatenate([times @ n for times in draws])
    recall = np.divide(
        drawn_correct, drawn_n, out=np.full_like(drawn_correct, np.nan), where=drawn_n > 0
    )
    return Intervals(
        _percentile_interval(drawn_correct.sum(axis=1) / drawn_n.sum(axis=1)),
        _percentile_interval(np.nanmean(recall, axis=1)),  # over labels that occur, as the figure
        [
            _percentile_interval(one[np.isfinite(one)]) if np.isfinite(one).any() else None
            for one in recall.T
        ],
    )


def _resample_groups(groups: int) -> Iterator[NDArray[np.int64]]:
    """Yield (resamples, groups): how often each group is drawn, with replacement."""
    rng = np.random.default_rng(_SEED)
    chunk = max(1, _MAX_DRAWS_IN_MEMORY // groups)
    for start in range(0, _RESAMPLES, chunk):
        resamples = min(chunk, _RESAMPLES - start)
        yield rng.multinomial(groups, np.full(groups, 1 / groups), size=resamples)


def _percentile_interval(drawn: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(drawn, _QUANTILES)
    return float(low), float(high)


def _wider(one: Intervals, other: Intervals) -> Intervals:
    recall = [
        _union(first, second) if first and second else None
        for first, second in zip(one.recall, other.recall, strict=True)
    ]
    return Intervals(
        _union(one.accuracy, other.accuracy), _union(one.balanced, other.balanced), recall
    )


def _union(one: Interval, other: Interval) -> Interval:
    return min(one[0], other[0]), max(one[1], other[1])
