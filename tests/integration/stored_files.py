"""Publish a file to a storage, and remove the files that no row refers to."""

from __future__ import annotations

from faces_jobs.db.session import Database
from faces_jobs.retention import ORPHAN_SECONDS, remove_leftovers, remove_orphans
from faces_jobs.storage import Storage


def publish_file(storage: Storage, job_id: str, token: str) -> str:
    """Publish one small file under an attempt's token, and return its key. No row refers to it."""
    with storage.workspace(token) as workspace:
        (workspace / "out").mkdir()
        (workspace / "out" / "f").write_text("x")
        return storage.publish(workspace / "out", job_id=job_id, owner="1", token=token)["f"].key


def sweep_files(
    database: Database, storage: Storage, *, orphan_seconds: float = ORPHAN_SECONDS
) -> int:
    """Remove leftovers and orphans as the sweep does. Returns how many folders were removed."""
    return remove_leftovers(storage) + remove_orphans(
        database, storage, list(storage.job_folders()), orphan_seconds=orphan_seconds
    )
