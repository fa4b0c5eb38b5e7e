"""What tests of deletions share: small steps, a death in one, the files left, and the audit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.jobs import row_steps
from faces_jobs.db.session import Database
from faces_jobs.db.tables import AuditRow
from faces_jobs.jobs.documents import AuditDocument
from faces_jobs.results import list_audit
from tests.integration.harness import Harness


def limit_steps(monkeypatch: pytest.MonkeyPatch, *, rows: int) -> None:
    """Let each step delete so many rows at most."""
    monkeypatch.setattr(row_steps, "MIN_STEP_ROWS", rows)
    monkeypatch.setattr(row_steps, "MAX_STEP_ROWS", rows)


@contextmanager
def dying_in_step(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[None]:
    """Expect the block to end in the step with this number, from 1, as if its process died."""
    steps = count(1)

    def dying_delete(table: Any) -> Any:
        if next(steps) == number:
            raise KeyboardInterrupt
        return delete(table)

    with monkeypatch.context() as patch:
        patch.setattr(row_steps, "delete", dying_delete)
        with pytest.raises(KeyboardInterrupt):
            yield


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
