"""One segment, from claim to finish."""

from __future__ import annotations

import logging
from functools import partial

from faces_jobs.db.claims import Bundle, SegmentClaim
from faces_jobs.db.leases import claim_segment
from faces_jobs.db.part_queries import unannounced_segments
from faces_jobs.db.release import STOPPED, release_bundle, release_segment
from faces_jobs.db.segment_endings import fail_job, fail_segment
from faces_jobs.db.space import park_segment
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
from faces_jobs.pipeline.cut_plan import NotCuttableError
from faces_jobs.worker.backoff import backoff_seconds, storage_backoff_seconds
from faces_jobs.worker.binding import bind
from faces_jobs.worker.bundle import Outcome, work_bundle
from faces_jobs.worker.cutting import cut, uncut
from faces_jobs.worker.drawing import draw
from faces_jobs.worker.finding import find
from faces_jobs.worker.finish import finish_job
from faces_jobs.worker.heartbeat import StopRequestedError
from faces_jobs.worker.linking import link
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.ringing import ring
from faces_jobs.worker.whole import work_whole

_STAGES = {Stage.FIND: find, Stage.LINK: link, Stage.DRAW: draw, Stage.BIND: bind}

_log = logging.getLogger(__name__)


def process_segment(segment_id: int, worker: Worker) -> None:
    """Work on a segment, if it is to be had. May be called at any time, by many, for the same."""
    settings = worker.settings
    claim = claim_segment(
        worker.database,
        segment_id,
        worker=worker.name,
        lease_seconds=settings.lease_seconds,
        max_attempts=settings.max_attempts,
    )
    if claim is None:
        _log.debug("segment %d is not to be had", segment_id)
        return
    process_claim(claim, worker)


def process_claim(claim: SegmentClaim, worker: Worker) -> None:
    """Work on a segment that is ours, and finish its job where it was the last."""
    with log_context(
        job=claim.job_id, item=claim.item_id, segment=claim.segment_id, attempt=claim.attempt
    ):
        worker.counters.add("attempts")
        worker.counters.add("rescues", float(claim.rescued))
        try:
            if _attempt(claim, worker):
                # Here and now, not by a message: behind a long job's segments it would wait for
                # all of them. Should this worker die first, the sweep rings for it.
                finish_job(claim.job_id, worker)
            elif claim.item_kind != "image":
                _go_on(claim, worker)
        except (CancelledError, LeaseLostError) as error:
            _log.info("thrown away: %s", error)
        except (DatabaseError, StorageFullError) as error:
            _log.warning("left until the lease runs out: %s", error)
        except QueueError as error:
            _log.warning("left to the sweep to ring for: %s", error)


def process_bundle(bundle: Bundle, worker: Worker, *, more: bool) -> None:
    """Work on images of one job that are ours, and finish the job where they were its last.

    Where there are `more` of them a bell is rung in the place of the one that led here: a folder
    of ten thousand has no more bells than workers could hear.
    """
    job_id = bundle[0].job_id
    with log_context(job=job_id, segment=bundle[0].segment_id):
        try:
            outcome = _attempt_bundle(bundle, worker)
        except (CancelledError, LeaseLostError) as error:
            _log.info("thrown away: %s", error)
            return
        except (DatabaseError, StorageFullError) as error:
            _log.warning("left until the lease runs out: %s", error)
            return
        except Exception:  # noqa: BLE001 (the last boundary: each is then tried by itself)
            _log.exception("left until the lease runs out")
            return
        if outcome is None:
            return
        worker.counters.add("attempts", len(outcome.done) + len(outcome.refused))
        if outcome.left or more:
            ring([bundle[-1].segment_id], worker)
        if outcome.last:
            finish_job(job_id, worker)
    if outcome.trouble is not None:
        process_claim(outcome.trouble, worker)


def _attempt_bundle(bundle: Bundle, worker: Worker) -> Outcome | None:
    """Work on a bundle. None: all of it was handed back."""
    try:
        return work_bundle(bundle, worker)
    except StorageError as error:
        _log.warning("handed back until files can be reached: %s", error)
        pause = storage_backoff_seconds(worker.settings)
        release_bundle(worker.database, bundle, reason=str(error), delay_seconds=pause)
        return None


def _attempt(claim: SegmentClaim, worker: Worker) -> bool:
    """Work on a claimed segment and record how that ended. True: the job is to be finished now."""
    database = worker.database
    try:
        return _stage(claim, worker)
    except (StopRequestedError, PausedError) as error:
        reason = str(error) or STOPPED
        release_segment(database, claim, reason=reason, counts=False)
        _log.info("handed back: %s", reason)
        if isinstance(error, StopRequestedError):
            worker.queue.ring_segment(claim.segment_id)
    except (CancelledError, LeaseLostError):
        raise
    except (ModelError, DeviceError) as error:
        _log.error("no file of this job can be processed: %s", error)
        return fail_job(database, claim, ErrorDocument.of(error))
    except StorageFullError as error:
        _log.warning("the job waits for space: %s", error)
        park_segment(
            database, claim, reason=str(error), pause=partial(backoff_seconds, worker.settings)
        )
    except StorageError as error:  # before the next: it says nothing about the file
        _log.warning("handed back until files can be reached: %s", error)
        pause = storage_backoff_seconds(worker.settings)
        release_segment(database, claim, reason=str(error), counts=False, delay_seconds=pause)
    except FacesJobsError as error:
        _log.warning("the attempt failed: %s: %s", error.code, error)
        if error.permanent:  # a broken file, above all: trying again would not mend it
            return fail_segment(database, claim, ErrorDocument.of(error))
        return _try_again(claim, worker, ErrorDocument.of(error))
    except Exception as error:  # noqa: BLE001 (the last boundary: told, kept and counted)
        _log.exception("the attempt failed")
        document = ErrorDocument(
            code=PoisonError.code,
            message=f"Given up after {claim.attempt} attempts, the last of which met an "
            f"unexpected {type(error).__name__}; the worker's log says more.",
        )
        return _try_again(claim, worker, document)
    return False


def _stage(claim: SegmentClaim, worker: Worker) -> bool:
    """Do what the segment is for; where a video's parts don't fit together, begin it in one."""
    try:
        left = cut(claim, worker)
        return _STAGES.get(left.stage, work_whole)(left, worker)
    except NotCuttableError as error:
        uncut(claim, worker, str(error))
        return False


def _go_on(claim: SegmentClaim, worker: Worker) -> None:
    """See to what the end of this segment has made possible; the sweep does where this fails."""
    added = unannounced_segments(worker.database, claim.item_id)
    if len(added) == 1 and not worker.stop_requested.is_set():
        process_segment(added[0], worker)  # here, as in `process_claim`
    elif added:
        ring(added, worker)


def _try_again(claim: SegmentClaim, worker: Worker, error: ErrorDocument) -> bool:
    """Put the segment back for another attempt; fail it where this one was the last."""
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
