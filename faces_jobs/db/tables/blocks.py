"""What is to be found in a block of faces: a row for each run of them that was written together.

A question that nobody answers to would look at every face; it looks at these first. A row may
promise more than there is (its faces were replaced since): that costs a look, and no more. It
must never promise less.
"""

from __future__ import annotations

from itertools import combinations

from sqlalchemy import BigInteger, Column, Double, Index, Integer, String, Table

from faces_jobs.db.tables.base import Base, RowNumber
from faces_jobs.jobs.labels import LABELS_WITH_UNSURE

PAIRS = tuple(combinations(LABELS_WITH_UNSURE, 2))
"""Every two heads."""

START = ("first_item", "first_frame", "first_face")
END = ("last_item", "last_frame", "last_face")


def bounds_of(head: str, label: str) -> tuple[str, str]:
    """The columns of the lowest and highest probability with which a label was given."""
    return f"{head}_{label}_min", f"{head}_{label}_max"


def pair_of(one: str, other: str) -> str:
    """The column whose bits are the pairs of labels that one face has for these two heads."""
    return f"{one}_and_{other}"


def bit_of(one: str, label: str, other: str, other_label: str) -> int:
    """The bit of a pair, of a signed number of 64 bits.

    Labels count in the order of `LABELS_WITH_UNSURE`. Where that order changes, or a label is
    added, a migration has to make all blocks anew.
    """
    place = LABELS_WITH_UNSURE[one].index(label) * 8 + LABELS_WITH_UNSURE[other].index(other_label)
    return 1 << place if place < 63 else -(1 << 63)


FACE_BLOCKS = Table(
    "face_blocks",
    Base.metadata,
    Column("id", RowNumber, primary_key=True),
    Column("job_id", String(36), nullable=False),
    # The keys of its first and last face: all of its faces are from there to there.
    Column("first_item", BigInteger, nullable=False),
    Column("first_frame", BigInteger, nullable=False),
    Column("first_face", Integer, nullable=False),
    Column("last_item", BigInteger, nullable=False),
    Column("last_frame", BigInteger, nullable=False),
    Column("last_face", Integer, nullable=False),
    Column("min_time_ms", Double, nullable=False),
    Column("max_time_ms", Double, nullable=False),
    Column("min_track", Integer, nullable=False),
    Column("max_track", Integer, nullable=False),
    Column("max_score", Double, nullable=False),
    # None: nobody was given that label.
    *(
        Column(name, Double)
        for head, labels in LABELS_WITH_UNSURE.items()
        for label in labels
        for name in bounds_of(head, label)
    ),
    *(Column(pair_of(*pair), BigInteger, nullable=False) for pair in PAIRS),
    Index("ix_face_blocks_order", *START, *END),
    Index("ix_face_blocks_job", "job_id", *START, *END),
)
