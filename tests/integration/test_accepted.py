"""Accepted means kept: a kill at any line of a submission leaves a job that runs, or nothing."""

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
from faces_jobs.worker.next_work import take_next_work
from faces_jobs.worker.sweep import sweep
from tests.integration.workbench import SMALL, Bench

# Submits a file and kills itself, as the system would, at one line of the way.
SUBMIT = """
import os, signal, sys
from pathlib import Path
from faces_jobs.db.session import Database, open_database
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.queue import open_queue
from faces_jobs.settings import Settings
from faces_jobs.storage import open_storage
from faces_jobs.submit import submission, submit_files

def die(*_args, **_kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

url, data, photo, where = sys.argv[1:]
settings = Settings(data_folder=Path(data), database_url=url)
with open_database(url) as database, open_queue(settings) as queue:
    storage = open_storage(settings)
    if where == "key":
        submission.store_key = die
    elif where == "files":
        storage.store_uploads = die
    elif where == "commit":
        move = storage.store_uploads
        storage.store_uploads = lambda *given: (move(*given), die())
    elif where == "ring":
        queue.ring_segment = die
    elif where == "rung":
        ring = queue.ring_segment
        queue.ring_segment = lambda *given: (ring(*given), die())
    with storage.receive() as incoming:
        submit_files(
            [incoming.add("photo.png", [Path(photo).read_bytes()])],
            JobSpec(smallest_face=4),
            database=database, storage=storage, queue=queue, settings=settings,
            idempotency_key="one",
        )
"""


@pytest.mark.parametrize(
    ("where", "kept"),
    [("key", False), ("files", False), ("commit", False), ("ring", True), ("rung", True)],
)
def test_a_kill_at_any_line_leaves_nothing_or_a_job_that_runs(
    bench: Bench, database_url: str, photo: Path, *, where: str, kept: bool
) -> None:
    worker, database = bench.worker, bench.worker.database
    process = subprocess.run(
        [
            sys.executable,
            "-c",
            SUBMIT,
            database_url,
            str(worker.settings.data_folder),
            str(photo),
            where,
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
    assert counts == [int(kept)] * 4, "all of it or nothing"
    if not kept:
        job_id = bench.submit(photo, spec=SMALL)  # the same again is well
    else:
        with database.read() as session:
            job_id = session.scalars(select(JobRow.id)).one()
        sweep(database, worker.queue, worker.settings)
        assert worker.queue.depth() >= 1, "rung for, by the process or by the sweep"
    take_next_work(worker)
    assert get_job(database, job_id).status == "succeeded"


class Unheard(Database):
    """A database whose next commit is done, or not, without an answer."""

    commits = True

    @contextmanager
    def begin(self) -> Iterator[Session]:
        with super().begin() as session:
            yield session
            if not self.commits:
                raise DatabaseError("the server closed the connection")
        raise DatabaseError("the server closed the connection")


@pytest.mark.parametrize("commits", [True, False])
def test_files_stay_where_the_answer_to_the_commit_was_lost(
    bench: Bench, photo: Path, *, commits: bool
) -> None:
    worker = bench.worker
    unheard = Unheard(worker.database.engine)
    unheard.commits = commits
    away = Bench(replace(worker, database=unheard), bench.networks, bench.folder)
    if commits:
        job_id = away.submit(photo)
        bench.work(job_id)
        assert get_job(worker.database, job_id).status == "succeeded"
        return
    with pytest.raises(DatabaseError, match="send it again"):
        away.submit(photo)
    with worker.database.read() as session:
        assert session.scalars(select(JobRow.id)).all() == []
    (folder,) = worker.storage.job_folders()
    assert remove_orphans(worker.database, worker.storage, [folder], orphan_seconds=0) == 1
    assert list(worker.storage.job_folders()) == []
