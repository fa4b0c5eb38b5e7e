"""Finishes a job: writes its exports from the rows, in bounded memory, then its final state."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TypeVar

from faces_jobs.db.claims.fencing import JobClaim
from faces_jobs.db.claims.leases import claim_job
from faces_jobs.db.claims.release import STOPPED, release_job
from faces_jobs.db.jobs.discarding import delete_discarded
from faces_jobs.db.jobs.endings import finish_job as record_exports
from faces_jobs.db.jobs.space import park_job
from faces_jobs.db.results.rows import CHUNK_ROWS, read_faces, read_tracks
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
from faces_jobs.logs import log_context
from faces_jobs.sinks.exports import (
    write_faces,
    write_tracks_csv,
)
from faces_jobs.worker.artifacts import artifact_row
from faces_jobs.worker.attempt import Attempt, job_attempt
from faces_jobs.worker.backoff import backoff_seconds, storage_backoff_seconds
from faces_jobs.worker.heartbeat import StopRequestedError
from faces_jobs.worker.resources import Worker

# File name of each export -> its kind and media type. The names of items' files start with a
# number and a dash (see `worker.names`), so they never collide with these.
EXPORTS = {
    "faces.csv": ("faces_csv", "text/csv; charset=utf-8"),
    "faces.jsonl": ("faces_jsonl", "application/x-ndjson"),
    "faces.parquet": ("faces_parquet", "application/vnd.apache.parquet"),
    "tracks.csv": ("tracks_csv", "text/csv; charset=utf-8"),
}

Record = TypeVar("Record")

_log = logging.getLogger(__name__)


def finish_job(job_id: str, worker: Worker) -> None:
    """Write a job's exports and end it, if it is available.

    May be called at any time, by several workers for the same job.
    """
    settings = worker.settings
    claim = claim_job(
        worker.database,
        job_id,
        worker=worker.name,
        lease_seconds=settings.lease_seconds,
        max_attempts=settings.max_attempts,
    )
    if claim is None:
        _log.debug("job %s is not available to be finished", job_id)
        return
    with log_context(job=job_id, export_attempt=claim.attempt):
        try:
            _attempt(claim, worker)
        except (CancelledError, LeaseLostError, PausedError) as error:
            _log.info("exports discarded: %s", error)
        except (DatabaseError, StorageFullError) as error:
            _log.warning("left until the lease runs out: %s", error)
        except QueueError as error:
            _log.warning("not rung for, left to the sweep: %s", error)


def _attempt(claim: JobClaim, worker: Worker) -> None:
    """Write the exports of a claimed job and record how that ended."""
    database, settings = worker.database, worker.settings
    try:
        _finish(claim, worker)
    except (CancelledError, LeaseLostError, PausedError):
        raise
    except StopRequestedError:
        release_job(database, claim, reason=STOPPED, counts=False)
        worker.queue.ring_job(claim.job_id)
    except StorageFullError as error:
        _log.warning("the job waits for space: %s", error)
        park_job(database, claim, pause=partial(backoff_seconds, settings))
    except StorageError as error:  # not the job's fault: costs no attempt
        _log.warning("exports wait until the storage is available: %s", error)
        pause = storage_backoff_seconds(settings)
        release_job(database, claim, reason=str(error), counts=False, delay_seconds=pause)
    except Exception as error:  # noqa: BLE001 (outermost handler; logged, recorded and counted)
        if isinstance(error, FacesJobsError):
            _log.warning("exports not written: %s", error)
            reason = str(error)
        else:
            _log.exception("exports not written")
            # Users read it, and its text may name a path of this server.
            reason = f"an unexpected {type(error).__name__}. See the worker's log."
        pause = backoff_seconds(settings, claim.attempt)
        release_job(database, claim, reason=reason, counts=True, delay_seconds=pause)


def _finish(claim: JobClaim, worker: Worker) -> None:
    with job_attempt(claim, worker) as attempt:
        _write_exports(claim.job_id, attempt)
        artifacts = [
            artifact_row(EXPORTS[name][0], name, EXPORTS[name][1], file)
            for name, file in attempt.publish().items()
        ]
        status = attempt.record(lambda: record_exports(worker.database, claim, artifacts))
    _log.info("job ended: %s", status or "recorded")


def _write_exports(job_id: str, attempt: Attempt) -> None:
    database, out = attempt.worker.database, attempt.out
    # Of a file that failed after the faces of its parts were stored: no table must have them.
    delete_discarded(database, job_id=job_id, on_step=attempt.keep_alive)
    write_faces(out, _keeping_alive(read_faces(database, job_id), attempt))
    write_tracks_csv(out / "tracks.csv", _keeping_alive(read_tracks(database, job_id), attempt))
    attempt.keep_alive()


def _keeping_alive(records: Iterable[Record], attempt: Attempt) -> Iterator[Record]:
    """Pass the records on, and report activity to the heartbeat once per chunk."""
    for number, record in enumerate(records):
        if number % CHUNK_ROWS == 0:
            attempt.keep_alive()
        yield record
