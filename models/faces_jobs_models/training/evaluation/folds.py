"""Assigns held-out people to folds, for cross-fitting of temperatures and thresholds."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from faces_jobs_models.training.readers.samples import hash_fraction

FOLDS = 16
NO_FOLD = -1
"""Fold of a face that no temperature was fitted on."""

# The first salt that puts each of IMFDB's 13 held-out actors into a fold of their own.
_SALT = 1453


def fold_of(group: Iterable[str]) -> NDArray[np.int64]:
    """Return the fold, 0 to 15, of each face's group, so that a person's faces share a fold."""
    return np.array(
        [int(FOLDS * hash_fraction(f"calibration/{_SALT}/{one}")) for one in group], int
    )
