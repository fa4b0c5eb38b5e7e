"""Processes a claimed segment or bundle, and records how the attempt ended."""

from __future__ import annotations

import logging
from functools import partial

from faces_jobs.db.claims.fencing import Bundle, SegmentClaim
from faces_jobs.db.claims.leases import claim_segment
from faces_jobs.db.claims.release import STOPPED, release_bundle, release_segment
from faces_jobs.db.jobs.space import park_segment
from faces_jobs.db.segments.endings import fail_job, fail_segment
from faces_jobs.db.segments.part_queries import unrung_segments
from faces_jobs.errors import (
    CancelledError,
    DatabaseError,
    DeviceError,
    FacesJobsError,
    LeaseLostError,
    ModelError,
    PausedError,
    PoisonError,
    QueueError,
    StorageError,
    StorageFullError,
)
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.stages import Stage
from faces_jobs.logs import log_context
from faces_jobs.pipeline.cutting.plan import NotCuttableError
from faces_jobs.worker.backoff import backoff_seconds, storage_backoff_seconds
from faces_jobs.worker.bundles.process import BundleOutcome, run_bundle
from faces_jobs.worker.finish import finish_job
from faces_jobs.worker.heartbeat import StopRequestedError
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.ringing import ring
from faces_jobs.worker.stages.bind import bind
from faces_jobs.worker.stages.cut import cut, restart_uncut
from faces_jobs.worker.stages.draw import draw
from faces_jobs.worker.stages.find import find
from faces_jobs.worker.stages.link import link
from faces_jobs.worker.stages.uncut import process_whole

_STAGES = {Stage.FIND: find, Stage.LINK: link, Stage.DRAW: draw, Stage.BIND: bind}

_log = logging.getLogger(__name__)


def process_segment(segment_id: int, worker: Worker) -> None:
    """Claim and process a segment, if it is available.

    May be called at any time, by several workers for the same segment.
    """
    settings = worker.settings
    claim = claim_segment(
        worker.database,
        segment_id,
        worker=worker.name,
        lease_seconds=settings.lease_seconds,
        max_attempts=settings.max_attempts,
    )
    if claim is None:
        _log.debug("segment %d is not available", segment_id)
        return
    process_claim(claim, worker)


def process_claim(claim: SegmentClaim, worker: Worker) -> None:
    """Process a claimed segment, and finish its job if it was the last one."""
    with log_context(
        job=claim.job_id, item=claim.item_id, segment=claim.segment_id, attempt=claim.attempt
    ):
        worker.counters.add("attempts")
        worker.counters.add("rescues", float(claim.rescued))
        try:
            if _attempt(claim, worker):
                # Immediately instead of by a message, which would wait behind all segments of a
                # long job. If this worker dies first, the sweep rings for the job.
                finish_job(claim.job_id, worker)
            elif claim.item_kind != "image":
                _start_next_stage(claim, worker)
        except (CancelledError, LeaseLostError) as error:
            _log.info("discarded: %s", error)
        except (DatabaseError, StorageFullError) as error:
            _log.warning("left until the lease runs out: %s", error)
        except QueueError as error:
            _log.warning("not rung for, left to the sweep: %s", error)


def process_bundle(bundle: Bundle, worker: Worker, *, has_more: bool) -> None:
    """Process claimed images of one job, and finish the job if they were its last ones.

    If the job `has_more` images, a new message replaces the one that led here, since only a limited
    number of messages is sent for the images of a job (see `submit.ringing`).
    """
    job_id = bundle[0].job_id
    with log_context(job=job_id, segment=bundle[0].segment_id):
        try:
            outcome = _attempt_bundle(bundle, worker)
        except (CancelledError, LeaseLostError) as error:
            _log.info("discarded: %s", error)
            return
        except (DatabaseError, StorageFullError) as error:
            _log.warning("left until the lease runs out: %s", error)
            return
        except Exception:  # noqa: BLE001 (outermost handler; each image is then retried alone)
            _log.exception("left until the lease runs out")
            return
        if outcome is None:
            return
        worker.counters.add("attempts", len(outcome.done) + len(outcome.refused))
        if outcome.unstarted or has_more:
            ring([bundle[-1].segment_id], worker)
        if outcome.is_job_done:
            finish_job(job_id, worker)
    if outcome.failed is not None:
        process_claim(outcome.failed, worker)


def _attempt_bundle(bundle: Bundle, worker: Worker) -> BundleOutcome | None:
    """Process a bundle. Returns None if all of it was released."""
    try:
        return run_bundle(bundle, worker)
    except StorageError as error:
        _log.warning("released until the storage is available: %s", error)
        pause = storage_backoff_seconds(worker.settings)
        release_bundle(worker.database, bundle, reason=str(error), delay_seconds=pause)
        return None


def _attempt(claim: SegmentClaim, worker: Worker) -> bool:
    """Process a claimed segment and record how that ended. True: the job can be finished now."""
    database = worker.database
    try:
        return _run_stage(claim, worker)
    except (StopRequestedError, PausedError) as error:
        reason = str(error) or STOPPED
        release_segment(database, claim, reason=reason, counts=False)
        _log.info("released: %s", reason)
        if isinstance(error, StopRequestedError):
            worker.queue.ring_segment(claim.segment_id)
    except (CancelledError, LeaseLostError):
        raise
    except (ModelError, DeviceError) as error:
        _log.error("no file of this job can be processed: %s", error)
        return fail_job(database, claim, ErrorDocument.from_error(error))
    except StorageFullError as error:
        _log.warning("the job waits for space: %s", error)
        park_segment(
            database, claim, reason=str(error), pause=partial(backoff_seconds, worker.settings)
        )
    except StorageError as error:  # before FacesJobsError: it says nothing about the file
        _log.warning("released until the storage is available: %s", error)
        pause = storage_backoff_seconds(worker.settings)
        release_segment(database, claim, reason=str(error), counts=False, delay_seconds=pause)
    except FacesJobsError as error:
        _log.warning("the attempt failed: %s: %s", error.code, error)
        if error.permanent:  # most often a damaged file, which another attempt can't repair
            return fail_segment(database, claim, ErrorDocument.from_error(error))
        return _retry_or_fail(claim, worker, ErrorDocument.from_error(error))
    except Exception as error:  # noqa: BLE001 (outermost handler; logged, recorded and counted)
        _log.exception("the attempt failed")
        document = ErrorDocument(
            code=PoisonError.code,
            message=f"Given up after {claim.attempt} attempts; the last one failed with an "
            f"unexpected {type(error).__name__}. See the worker's log.",
        )
        return _retry_or_fail(claim, worker, document)
    return False


def _run_stage(claim: SegmentClaim, worker: Worker) -> bool:
    """Run the segment's stage; if a video's parts don't fit together, restart it uncut."""
    try:
        remaining = cut(claim, worker)
        return _STAGES.get(remaining.stage, process_whole)(remaining, worker)
    except NotCuttableError as error:
        restart_uncut(claim, worker, str(error))
        return False


def _start_next_stage(claim: SegmentClaim, worker: Worker) -> None:
    """Process or ring for the segments that this one's end has added.

    If this fails, the sweep rings for them.
    """
    added = unrung_segments(worker.database, claim.item_id)
    if len(added) == 1 and not worker.stop_requested.is_set():
        process_segment(added[0], worker)  # immediately, as in `process_claim`
    elif added:
        ring(added, worker)


def _retry_or_fail(claim: SegmentClaim, worker: Worker, error: ErrorDocument) -> bool:
    """Release the segment for another attempt, or fail it if this was the last one."""
    if claim.attempt >= worker.settings.max_attempts:
        worker.counters.add("poison")
        return fail_segment(worker.database, claim, error, gave_up=True)
    release_segment(
        worker.database,
        claim,
        reason=error.message,
        counts=True,
        delay_seconds=backoff_seconds(worker.settings, claim.attempt),
    )
    return False
