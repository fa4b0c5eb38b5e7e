"""A labelled face as every reader gives it, and which faces are held out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from faces_jobs.jobs.labels import HEADS

UNKNOWN = -1  # the truth of a head that a data set says nothing about


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One labelled picture.

    `targets` holds what to learn, as a distribution over a head's labels; `truth` the label to
    be measured against. A head may have a target without a truth (votes without a majority).
    `group` is the same for faces that resemble each other more than others do: those of an actor,
    a subject, a person; where nobody knows who it is, it is the picture's own key. `groups` is what
    figures can be broken down by: gender, age (a band), race.
    """

    image: bytes  # encoded
    held_out: bool
    group: str
    targets: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    truth: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    size_px: int | None = None  # height of the face when it was recorded, where that is known


def is_held_out(key: str, share: float) -> bool:
    """Whether the group `key` (an actor, a subject, a path) is kept for measuring.

    By a hash of the name, so that it never depends on the order of files or on what else is in
    the set, and near copies stay on one side.
    """
    return hash_fraction(key) < share


def hash_fraction(key: str) -> float:
    """A number from 0 to below 1 that is the same for the same key, and like chance otherwise."""
    digest = hashlib.sha256(key.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def one_hot(head: str, label: str) -> tuple[dict[str, NDArray[np.float32]], dict[str, int]]:
    """Target and truth for a label that is given without doubt.

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
