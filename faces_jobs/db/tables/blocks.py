"""Summaries of blocks of faces: one row for each run of faces that was written together.

A filter that matches few faces would scan them all: queries use these rows to skip blocks that
can't match (like the block ranges of PostgreSQL's BRIN indexes). A row may claim more than its
faces have, since they may be replaced later: that only costs a scan. It must never claim less.
"""

from __future__ import annotations

from itertools import combinations

from sqlalchemy import BigInteger, Column, Double, Index, Integer, String, Table

from faces_jobs.db.tables.base import Base, RowNumber
from faces_jobs.jobs.labels import LABELS_WITH_UNSURE

HEAD_PAIRS = tuple(combinations(LABELS_WITH_UNSURE, 2))
"""All pairs of heads."""

FIRST_FACE_COLUMNS = ("first_item", "first_frame", "first_face")
LAST_FACE_COLUMNS = ("last_item", "last_frame", "last_face")


def bounds_columns(head: str, label: str) -> tuple[str, str]:
    """Return the columns of a label's minimum and maximum probability."""
    return f"{head}_{label}_min", f"{head}_{label}_max"


def pair_column(one: str, other: str) -> str:
    """Return the column whose bits are the pairs of labels that occur together on one face."""
    return f"{one}_and_{other}"


def pair_bit(one: str, label: str, other: str, other_label: str) -> int:
    """Return the bit of a pair of labels as a signed 64-bit integer.

    Bits follow the order of `LABELS_WITH_UNSURE`: if it changes, or a label is added, a migration
    has to rebuild all blocks.
    """
    place = LABELS_WITH_UNSURE[one].index(label) * 8 + LABELS_WITH_UNSURE[other].index(other_label)
    return 1 << place if place < 63 else -(1 << 63)


FACE_BLOCKS = Table(
    "face_blocks",
    Base.metadata,
    Column("id", RowNumber, primary_key=True),
    Column("job_id", String(36), nullable=False),
    # The keys of its first and last face.
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
    # None: no face has that label.
    *(
        Column(name, Double)
        for head, labels in LABELS_WITH_UNSURE.items()
        for label in labels
        for name in bounds_columns(head, label)
    ),
    *(Column(pair_column(*pair), BigInteger, nullable=False) for pair in HEAD_PAIRS),
    Index("ix_face_blocks_order", *FIRST_FACE_COLUMNS, *LAST_FACE_COLUMNS),
    Index("ix_face_blocks_job", "job_id", *FIRST_FACE_COLUMNS, *LAST_FACE_COLUMNS),
)
