"""The jobs of a run: submitted directly or over HTTP, and deleted."""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import Future
from pathlib import Path

from faces_jobs.client.api import Client
from faces_jobs.db.session import Database
from faces_jobs.errors import ServerError
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.jobs.status import JobStatus
from faces_jobs.queue.producer import open_queue
from faces_jobs.results import get_job
from faces_jobs.retention import delete_job
from faces_jobs.settings import Settings
from faces_jobs.storage import open_storage
from faces_jobs.submit import submit_files
from tests.faults.launched import NotInTimeError
from tests.receivers import Receiver
from tests.services import TIMEOUT_SECONDS


def submit(settings: Settings, database: Database, files: list[Path], spec: JobSpec) -> str:
    """Submit files as the command line does, and return the job's id."""
    storage = open_storage(settings)
    with open_queue(settings) as queue, storage.receive() as incoming:
        return submit_files(
            [incoming.add(path.name, [path.read_bytes()]) for path in files],
            spec,
            database=database,
            storage=storage,
            queue=queue,
            settings=settings,
        ).job_id


def delete(settings: Settings, database: Database, job_id: str) -> None:
    """Delete a job that must not be in the results, after checking that it was being worked on."""
    status = get_job(database, job_id).status
    assert status is JobStatus.RUNNING, f"the other workers were not busy: {status}"
    delete_job(job_id, database=database, storage=open_storage(settings))


def submit_over_http(ports: list[int], files: list[Path], hooks: Receiver) -> Future[str]:
    """Submit like a persistent client: repeat the request with the same idempotency key."""
    key = uuid.uuid4().hex
    answered: Future[str] = Future()

    def submit() -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            for port in ports:
                try:
                    with Client(f"http://127.0.0.1:{port}") as client:
                        job = client.submit_files(
                            [(path.name, path) for path in files],
                            {"webhook": hooks.url},
                            idempotency_key=key,
                        )
                except ServerError:
                    time.sleep(0.1)
                else:
                    answered.set_result(job.id)
                    return
        answered.set_exception(NotInTimeError("no web process accepted the submission"))

    threading.Thread(target=submit, name="client", daemon=True).start()
    return answered
