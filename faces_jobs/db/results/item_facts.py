"""Writes a file's properties and counts of results to its item's row."""

from __future__ import annotations

from sqlalchemy import update
from sqlalchemy.orm import Session

from faces_jobs.db.results.outcomes import ItemFacts
from faces_jobs.db.tables import ItemRow


def record_facts(
    session: Session, item_id: int, facts: ItemFacts, *, faces: int, tracks: int
) -> None:
    """Store the properties of an item's file, and the numbers of its faces and tracks."""
    session.execute(
        update(ItemRow)
        .where(ItemRow.id == item_id)
        .values(
            kind=facts.kind,
            format=facts.format,
            width=facts.width,
            height=facts.height,
            duration_ms=facts.duration_ms,
            face_count=faces,
            track_count=tracks,
        )
    )
