"""Moves between states as conditions of updates: a row only leaves a state that allows the move."""

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
    """An update that does not look for its rows among the session's objects.

    For sessions that hold none: to look takes longer than to update.
    """
    return statement.execution_options(synchronize_session=False)


def source_states(moves: Mapping[State, frozenset[State]], to: State) -> list[State]:
    """The states from which `to` may be reached in one move."""
    return [state for state, targets in moves.items() if to in targets]


def move_jobs(to: JobStatus, *which: ColumnElement[bool], **values: Any) -> Update:
    """Move the jobs that `which` names, of those whose state allows it."""
    legal = JobRow.status.in_(source_states(JOB_MOVES, to))
    return update(JobRow).where(*which, legal).values(status=to, **values)


def move_items(to: ItemStatus, *which: ColumnElement[bool], **values: Any) -> Update:
    """Move the items that `which` names, of those whose state allows it."""
    legal = ItemRow.status.in_(source_states(ITEM_MOVES, to))
    return update(ItemRow).where(*which, legal).values(status=to, **values)


def move_segments(to: SegmentStatus, *which: ColumnElement[bool], **values: Any) -> Update:
    """Move the segments that `which` names, of those whose state allows it."""
    legal = SegmentRow.status.in_(source_states(SEGMENT_MOVES, to))
    return update(SegmentRow).where(*which, legal).values(status=to, **values)
