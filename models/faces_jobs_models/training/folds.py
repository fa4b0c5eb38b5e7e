"""Parts the held-out people into folds, so that each is measured by what others were fitted on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from faces_jobs_models.training.samples import hash_fraction

FOLDS = 16
NO_FOLD = -1
"""Of a face that no temperature was fitted on."""

# The first salt by which each of IMFDB's 13 held-out actors has a fold of his own.
_SALT = 1453


def fold_of(group: Iterable[str]) -> NDArray[np.int64]:
    """Each face's fold, 0 to 15, by whose it is: all faces of a person are in one."""
    return np.array(
        [int(FOLDS * hash_fraction(f"calibration/{_SALT}/{one}")) for one in group], int
    )
