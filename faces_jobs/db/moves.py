"""UPDATE statements for state transitions: only rows whose state allows the move are changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Update, update

from faces_jobs.db.tables import ItemRow, JobRow, SegmentRow
from faces_jobs.jobs.status import (
    ITEM_MOVES,
    JOB_MOVES,
    SEGMENT_MOVES,
    ItemStatus,
    JobStatus,
    SegmentStatus,
)

State = TypeVar("State", JobStatus, ItemStatus, SegmentStatus)


def without_session_sync(statement: Update) -> Update:
    """Return the update without synchronisation of objects that are loaded in the session.

    For sessions without such objects, where synchronising takes longer than the update itself.
    """
    return statement.execution_options(synchronize_session=False)


def source_states(moves: Mapping[State, frozenset[State]], to: State) -> list[State]:
    """Return the states from which `to` can be reached in one move."""
    return [state for state, targets in moves.items() if to in targets]


def move_jobs(to: JobStatus, *which: ColumnElement[bool], **values: Any) -> Update:
    """Move the jobs that match `which` and whose state allows it."""
    legal = JobRow.status.in_(source_states(JOB_MOVES, to))
    return update(JobRow).where(*which, legal).values(status=to, **values)


def move_items(to: ItemStatus, *which: ColumnElement[bool], **values: Any) -> Update:
    """Move the items that match `which` and whose state allows it."""
    legal = ItemRow.status.in_(source_states(ITEM_MOVES, to))
    return update(ItemRow).where(*which, legal).values(status=to, **values)


def move_segments(to: SegmentStatus, *which: ColumnElement[bool], **values: Any) -> Update:
    """Move the segments that match `which` and whose state allows it."""
    legal = SegmentRow.status.in_(source_states(SEGMENT_MOVES, to))
    return update(SegmentRow).where(*which, legal).values(status=to, **values)
