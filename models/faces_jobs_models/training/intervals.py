"""95 % intervals of shares and of balanced accuracy.

Both take faces as drawn one by one. Frames of one film or actor resemble each other, so on such
data sets the true uncertainty is larger.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_Z = 1.959963984540054  # 97.5 % of a normal distribution lie below
_ROUNDS = 4000
_SEED = 20260101

Interval = tuple[float, float]


def wilson(right: int, n: int) -> Interval:
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
    low, high = np.quantile((drawn / counts[:, 1]).mean(axis=1), [0.025, 0.975])
    return float(low), float(high)
