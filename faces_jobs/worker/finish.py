"""Ends a job: writes its exports from the rows, in bounded memory, then its last state."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from faces_jobs.db.claims import JobClaim, claim_job, renew_job
from faces_jobs.db.job_endings import finish_job as record_exports
from faces_jobs.db.job_endings import hand_back_job
from faces_jobs.db.rows import CHUNK, read_faces, read_tracks
from faces_jobs.db.space import park_job
from faces_jobs.errors import (
    CancelledError,
    DatabaseError,
    FacesJobsError,
    LeaseLostError,
    PausedError,
    QueueError,
    StorageError,
    StorageFullError,
)
from faces_jobs.logs import about
from faces_jobs.sinks.exports import (
    write_faces,
    write_tracks_csv,
)
from faces_jobs.storage import told_when_full
from faces_jobs.worker.artifacts import artifact_row
from faces_jobs.worker.backoff import pause_seconds, storage_pause_seconds
from faces_jobs.worker.heartbeat import Heartbeat, StopRequestedError
from faces_jobs.worker.record import Published, record
from faces_jobs.worker.resources import Worker

# File name of each export -> its kind and media type. Items' files begin with a number and a
# dash (see `worker.names`), so the names never meet.
EXPORTS = {
    "faces.csv": ("faces_csv", "text/csv; charset=utf-8"),
    "faces.jsonl": ("faces_jsonl", "application/x-ndjson"),
    "faces.parquet": ("faces_parquet", "application/vnd.apache.parquet"),
    "tracks.csv": ("tracks_csv", "text/csv; charset=utf-8"),
}
OWNER = "job"

Record = TypeVar("Record")

_log = logging.getLogger(__name__)


def finish_job(job_id: str, worker: Worker) -> None:
    """Write a job's exports and end it, if it is to be had. May be called at any time, by many."""
    settings = worker.settings
    claim = claim_job(
        worker.database,
        job_id,
        worker=worker.name,
        lease_seconds=settings.lease_seconds,
        max_attempts=settings.max_attempts,
    )
    if claim is None:
        _log.debug("job %s is not to be finished now", job_id)
        return
    with about(job=job_id, export_attempt=claim.attempt):
        try:
            _finish(claim, worker)
        except (CancelledError, LeaseLostError, PausedError) as error:
            _log.info("exports thrown away: %s", error)
        except StopRequestedError:
            _hand_back(claim, worker, "its worker was told to stop", counts=False)
        except StorageFullError as error:
            _log.warning("the job waits for space: %s", error)
            _park(claim, worker)
        except StorageError as error:  # it says nothing about the job, and costs no attempt
            _log.warning("exports wait until files can be reached: %s", error)
            pause = storage_pause_seconds(settings)
            _hand_back(claim, worker, str(error), counts=False, delay_seconds=pause)
        except FacesJobsError as error:
            _log.warning("exports not written: %s", error)
            pause = pause_seconds(settings, claim.attempt)
            _hand_back(claim, worker, str(error), counts=True, delay_seconds=pause)
        except Exception as error:  # noqa: BLE001 (the last boundary: told, kept and counted)
            _log.exception("exports not written")
            reason = f"{type(error).__name__}: {error}"
            pause = pause_seconds(settings, claim.attempt)
            _hand_back(claim, worker, reason, counts=True, delay_seconds=pause)


def _finish(claim: JobClaim, worker: Worker) -> None:
    def renew(_frames_done: int, _frames_total: int | None) -> None:
        renew_job(worker.database, claim, lease_seconds=worker.settings.lease_seconds)

    with (
        Heartbeat(
            renew,
            every_seconds=worker.settings.heartbeat_seconds,
            stop_requested=worker.stop_requested,
        ) as heartbeat,
        worker.storage.workspace(claim.token) as workspace,
    ):
        out = workspace / "out"
        out.mkdir()
        _write_exports(out, claim.job_id, worker, heartbeat)
        stored = worker.storage.publish(
            out,
            job_id=claim.job_id,
            owner=OWNER,
            token=claim.token,
            on_progress=heartbeat.goes_on,
        )
        heartbeat.stop()
        artifacts = [
            artifact_row(EXPORTS[name][0], name, EXPORTS[name][1], file)
            for name, file in stored.items()
        ]
        status = record(
            worker,
            Published(claim.job_id, OWNER, claim.token),
            lambda: record_exports(worker.database, claim, artifacts),
        )
    _log.info("job ended: %s", status or "recorded")


def _write_exports(out: Path, job_id: str, worker: Worker, heartbeat: Heartbeat) -> None:
    database = worker.database
    with told_when_full():
        write_faces(out, _told(read_faces(database, job_id), heartbeat))
        write_tracks_csv(out / "tracks.csv", _told(read_tracks(database, job_id), heartbeat))
        heartbeat.progress(0, None)


def _told(records: Iterable[Record], heartbeat: Heartbeat) -> Iterator[Record]:
    """The same records; the heart is told that it goes on."""
    for number, record_ in enumerate(records):
        if number % CHUNK == 0:
            heartbeat.progress(0, None)
        yield record_


def _park(claim: JobClaim, worker: Worker) -> None:
    try:
        park_job(worker.database, claim, pause=partial(pause_seconds, worker.settings))
    except (
        CancelledError,
        LeaseLostError,
        PausedError,
        DatabaseError,
        StorageFullError,
    ) as error:
        _log.warning("not put aside, the lease will run out: %s", error)


def _hand_back(
    claim: JobClaim, worker: Worker, reason: str, *, counts: bool, delay_seconds: float = 0.0
) -> None:
    try:
        hand_back_job(
            worker.database,
            claim,
            reason=reason,
            counts=counts,
            delay_seconds=delay_seconds,
        )
        if not counts and not delay_seconds:
            worker.queue.ring_job(claim.job_id)
    except (
        CancelledError,
        LeaseLostError,
        PausedError,
        DatabaseError,
        StorageFullError,
        QueueError,
    ) as error:
        _log.warning("not handed back, the lease will run out: %s", error)
