"""A submission that is killed at any line leaves either a complete job or nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from faces_jobs.db.session import Database
from faces_jobs.db.tables import IdempotencyRow, ItemRow, JobRow, SegmentRow
from faces_jobs.errors import DatabaseError
from faces_jobs.results import get_job
from faces_jobs.retention import remove_orphans
from faces_jobs.worker.maintenance.sweep import sweep
from faces_jobs.worker.next_work import take_next_work
from tests.integration.harness import SMALL_FACES, Harness

# Submits a file and kills its own process, as the kernel would, at the given step.
SUBMIT = """
import os, signal, sys
from pathlib import Path
from faces_jobs.db.session import Database, open_database
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.queue.producer import open_queue
from faces_jobs.settings import Settings
from faces_jobs.storage import open_storage
from faces_jobs.submit import submission, submit_files

def die(*_args, **_kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

url, data, photo, step = sys.argv[1:]
settings = Settings(data_folder=Path(data), database_url=url)
with open_database(url) as database, open_queue(settings) as queue:
    storage = open_storage(settings)
    if step == "key":
        submission.store_key = die
    elif step == "files":
        storage.store_uploads = die
    elif step == "commit":
        move = storage.store_uploads
        storage.store_uploads = lambda *args: (move(*args), die())
    elif step == "ring":
        queue.ring_segment = die
    elif step == "rung":
        ring = queue.ring_segment
        queue.ring_segment = lambda *args: (ring(*args), die())
    with storage.receive() as incoming:
        submit_files(
            [incoming.add("photo.png", [Path(photo).read_bytes()])],
            JobSpec(smallest_face=4),
            database=database, storage=storage, queue=queue, settings=settings,
            idempotency_key="one",
        )
"""


@pytest.mark.parametrize(
    ("step", "kept"),
    [("key", False), ("files", False), ("commit", False), ("ring", True), ("rung", True)],
)
def test_a_kill_at_any_step_leaves_nothing_or_a_complete_job(
    harness: Harness, database_url: str, photo: Path, *, step: str, kept: bool
) -> None:
    worker, database = harness.worker, harness.worker.database
    process = subprocess.run(
        [
            sys.executable,
            "-c",
            SUBMIT,
            database_url,
            str(worker.settings.data_folder),
            str(photo),
            step,
        ],
        env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert process.returncode == -signal.SIGKILL

    with database.read() as session:
        counts = [
            len(session.scalars(select(table)).all())
            for table in (JobRow, ItemRow, SegmentRow, IdempotencyRow)
        ]
    assert counts == [int(kept)] * 4, "all rows or none"
    if not kept:
        job_id = harness.submit(photo, spec=SMALL_FACES)  # it can be submitted again
    else:
        with database.read() as session:
            job_id = session.scalars(select(JobRow.id)).one()
        sweep(database, worker.queue, worker.settings)
        assert worker.queue.depth() >= 1, "either the process or the sweep has rung"
    take_next_work(worker)
    assert get_job(database, job_id).status == "succeeded"


class DisconnectingDatabase(Database):
    """A database whose server closes the connection at each commit, before or after doing it."""

    commits = True

    @contextmanager
    def begin(self) -> Iterator[Session]:
        with super().begin() as session:
            yield session
            if not self.commits:
                raise DatabaseError("the server closed the connection")
        raise DatabaseError("the server closed the connection")


@pytest.mark.parametrize("commits", [True, False])
def test_files_stay_if_the_reply_to_the_commit_is_lost(
    harness: Harness, photo: Path, *, commits: bool
) -> None:
    worker = harness.worker
    disconnecting = DisconnectingDatabase(worker.database.engine)
    disconnecting.commits = commits
    disconnected = Harness(
        replace(worker, database=disconnecting), harness.networks, harness.folder
    )
    if commits:
        job_id = disconnected.submit(photo)
        harness.work(job_id)
        assert get_job(worker.database, job_id).status == "succeeded"
        return
    with pytest.raises(DatabaseError, match="send it again"):
        disconnected.submit(photo)
    with worker.database.read() as session:
        assert session.scalars(select(JobRow.id)).all() == []
    (folder,) = worker.storage.job_folders()
    assert remove_orphans(worker.database, worker.storage, [folder], orphan_seconds=0) == 1
    assert list(worker.storage.job_folders()) == []
