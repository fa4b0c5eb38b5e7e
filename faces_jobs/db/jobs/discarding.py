"""Discards the partial results of items that end without success.

They are hidden in the transaction that ends the items. The rows of faces and tracks, which may be
millions, are then deleted in short transactions; if these are interrupted, the sweep goes on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Table, case, delete, exists, not_, or_, select, update
from sqlalchemy.orm import Session

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.conditions import is_discarded
from faces_jobs.db.jobs.row_steps import Key, RowSteps
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ArtifactRow, FaceRow, ItemRow, SegmentFileRow, TrackRow
from faces_jobs.jobs.status import OPEN_ITEMS

_TABLES: tuple[Any, ...] = (FaceRow.__table__, TrackRow.__table__)

# How long a cancel or retry waits for the rows; the sweep deletes what is left.
REQUEST_PATIENCE_SECONDS = 5.0


def discard_partial_results(session: Session, *which: ColumnElement[bool]) -> None:
    """Hide the results of these items if open, in the transaction that ends them.

    The caller has locked their segments, so that nobody adds results. `delete_discarded` deletes
    the rows.
    """
    unfinished = (*which, ItemRow.status.in_(OPEN_ITEMS))
    items = select(ItemRow.id).where(*unfinished)
    # The artifacts are of the readable part of a broken file that was retried; the reconciler
    # removes their files.
    for table in (ArtifactRow, SegmentFileRow):
        session.execute(delete(table).where(table.item_id.in_(items)))
    session.execute(
        update(ItemRow)
        .where(*unfinished)
        .values(face_count=0, track_count=0, discarded_at=case((_has_rows(), now_seconds())))
    )


def delete_discarded(
    database: Database,
    *,
    job_id: str | None = None,
    patience_seconds: float = math.inf,
    on_step: Callable[[], None] = lambda: None,
) -> bool:
    """Delete the rows of discarded results, of one job or of all, in short transactions.

    May be called at any time, by several processes at once. `on_step` is called before each
    step. Returns False if the patience was over before all were deleted.

    Raises:
        DatabaseError: the database does not answer; the steps before are done.
        Exception: whatever `on_step` raises; likewise.
    """
    found = select(ItemRow.id).where(is_discarded())
    if job_id is not None:
        found = found.where(ItemRow.job_id == job_id)
    with database.read() as session:
        items = session.scalars(found.order_by(ItemRow.id)).all()
    steps = RowSteps(database, patience_seconds=patience_seconds, before=on_step)
    for item_id in items:
        is_due = partial(_lock_discarded, item_id)
        for table in _TABLES:
            after, up_to = _around_keys(table, item_id)
            if not steps.delete_from(table, after=after, up_to=up_to, is_due=is_due):
                return False
        with database.begin() as session:
            # Unless it was retried meanwhile, and its new results were discarded as well.
            session.execute(
                update(ItemRow)
                .where(ItemRow.id == item_id, not_(_has_rows()))
                .values(discarded_at=None)
            )
    return True


def _around_keys(table: Table, item_id: int) -> tuple[Key, Key]:
    """Return keys, of no row, before and after all of an item, which they begin with."""
    others = (-1,) * (len(table.primary_key.columns) - 1)
    return (item_id, *others), (item_id + 1, *others)


def _lock_discarded(item_id: int, session: Session) -> bool:
    """Lock an item. Returns whether its results are still to be deleted.

    Not if another process has deleted them: the user may have retried the item since.
    """
    item = select(ItemRow.id).where(ItemRow.id == item_id, is_discarded())
    return session.scalar(item.with_for_update(key_share=True)) is not None


def _has_rows() -> ColumnElement[bool]:
    return or_(*(exists().where(table.c.item_id == ItemRow.id) for table in _TABLES))
