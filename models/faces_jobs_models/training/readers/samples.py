"""A labelled picture as all readers yield it, and the split by hash into training and held out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from faces_jobs.jobs.labels import HEADS

UNKNOWN = -1  # truth of a head that the data set has no label for


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One labelled picture.

    Attributes:
        image: encoded.
        held_out: whether it is kept for evaluation.
        group: the person (actor, subject) in the picture, or the picture's own key where the
            person is unknown. Pictures of one group are not independent of each other.
        targets: head -> distribution over its labels, to train with.
        truth: head -> index of the label to evaluate against. A head may have a target without a
            truth (votes without a majority).
        groups: what figures can be broken down by: gender, age (a band), race.
        size_px: height of the face in the original picture, if known.
    """

    image: bytes
    held_out: bool
    group: str
    targets: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    truth: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    size_px: int | None = None


def is_held_out(key: str, share: float) -> bool:
    """Whether the group `key` (an actor, a subject, a path) is kept for evaluation.

    The split is by a hash of the key: it depends neither on the order of files nor on the rest of
    the data set, and near duplicates are on the same side.
    """
    return hash_fraction(key) < share


def hash_fraction(key: str) -> float:
    """Map the key to a number in [0, 1) by its SHA-256."""
    digest = hashlib.sha256(key.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def one_hot(head: str, label: str) -> tuple[dict[str, NDArray[np.float32]], dict[str, int]]:
    """Return target and truth for a label that is certain, both by head.

    Raises:
        ValueError: the head has no such label.
    """
    labels = HEADS[head]
    if label not in labels:
        raise ValueError(f"{head} has no label {label!r}; known are {', '.join(labels)}")
    index = labels.index(label)
    target = np.zeros(len(labels), np.float32)
    target[index] = 1
    return {head: target}, {head: index}
