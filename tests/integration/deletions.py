"""What tests of deletions look at: the files that are left, and the audit."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import update

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.session import Database
from faces_jobs.db.tables import AuditRow
from faces_jobs.jobs.documents import AuditDocument
from faces_jobs.results import list_audit
from tests.integration.harness import Harness


def stored_files(harness: Harness) -> list[Path]:
    """Return the path of every file in the storage."""
    return [path for path in harness.worker.storage.folder.rglob("*") if path.is_file()]


def only_entry(database: Database) -> AuditDocument:
    """Return the only entry of the audit."""
    (entry,) = list_audit(database).entries
    return entry


def make_due(database: Database) -> None:
    """End the pauses and leases of all open deletions."""
    with database.begin() as session:
        session.execute(
            update(AuditRow)
            .where(AuditRow.next_at.is_not(None))
            .values(next_at=now_seconds() - 1, held_until=now_seconds() - 1)
        )
