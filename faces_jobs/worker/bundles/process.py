"""Processes a bundle: images of one job that were claimed together, in few transactions."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import suppress

from faces_jobs.db.claims.fencing import Bundle, SegmentClaim
from faces_jobs.db.claims.release import STOPPED, release_bundle
from faces_jobs.db.segments.bundles import ImageOutcome, finish_bundle
from faces_jobs.errors import (
    CancelledError,
    LeaseLostError,
    MediaError,
    PausedError,
    StorageFullError,
)
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.worker.attempt import Attempt, bundle_attempt
from faces_jobs.worker.bundle_size import MAX_BUNDLE_SECONDS
from faces_jobs.worker.bundles.image import ProcessedImage, process_image
from faces_jobs.worker.facts import models_of
from faces_jobs.worker.heartbeat import StopRequestedError
from faces_jobs.worker.resources import Worker

_log = logging.getLogger(__name__)


class BundleOutcome:
    """The outcome of a bundle. Each of its claims is in exactly one of the first four."""

    def __init__(self, bundle: Bundle) -> None:
        self.done: list[ProcessedImage] = []
        self.refused: list[tuple[SegmentClaim, ErrorDocument]] = []  # the file can't be processed
        self.failed: SegmentClaim | None = None  # for a reason that may not be the file
        self.unstarted: list[SegmentClaim] = list(bundle)
        self.is_job_done = False  # the job can be finished now


def run_bundle(bundle: Bundle, worker: Worker) -> BundleOutcome:
    """Process images until all are done or the time limit is reached, and record their outcome.

    Images that were not started are released. An image that failed is still claimed: the caller
    processes it alone, like any other segment.

    Raises:
        CancelledError, LeaseLostError: the claims no longer hold; nothing was recorded.
        DatabaseError, StorageFullError: nothing could be recorded.
    """
    outcome = BundleOutcome(bundle)
    with bundle_attempt(bundle, worker) as attempt:
        _process_images(outcome, attempt)
        _record(outcome, attempt)
    return outcome


def _process_images(outcome: BundleOutcome, attempt: Attempt) -> None:
    worker = attempt.worker
    started = time.monotonic()
    try:
        analysis = worker.analysis_for(outcome.unstarted[0].spec)
        started = time.monotonic()
        while outcome.unstarted and time.monotonic() - started < MAX_BUNDLE_SECONDS:
            claim = outcome.unstarted[0]
            try:
                image = process_image(
                    claim, worker, attempt.out, analysis, on_progress=attempt.keep_alive
                )
                outcome.done.append(image)
            except MediaError as error:
                if not error.permanent:
                    raise
                outcome.refused.append((claim, ErrorDocument.from_error(error)))
            del outcome.unstarted[0]
    except (CancelledError, LeaseLostError):
        raise
    except (PausedError, StopRequestedError) as error:
        _log.info("interrupted: %s", str(error) or STOPPED)
    except Exception as error:  # noqa: BLE001 (handled when the image is processed alone)
        _log.warning("an image failed and is retried alone: %s: %s", type(error).__name__, error)
        outcome.failed = outcome.unstarted.pop(0)
    worker.bundle_size.record(len(outcome.done), time.monotonic() - started)


def _record(outcome: BundleOutcome, attempt: Attempt) -> None:
    database = attempt.worker.database
    refused: list[ImageOutcome] = list(outcome.refused)
    if outcome.done:
        ended = refused + _publish(outcome.done, attempt)
        outcome.is_job_done = bool(attempt.record(lambda: finish_bundle(database, ended)))
    else:
        attempt.heartbeat.stop()
        outcome.is_job_done = bool(refused) and finish_bundle(database, refused)
    if outcome.unstarted:
        release_bundle(database, outcome.unstarted)
    _log.info(
        "%d images done, %d refused, %d released",
        len(outcome.done),
        len(outcome.refused),
        len(outcome.unstarted),
    )


def _publish(done: Sequence[ProcessedImage], attempt: Attempt) -> list[ImageOutcome]:
    """Publish the images' files in one folder. Returns the images with their results."""

    def keep_alive() -> None:
        # Images that are done are recorded even if the others are released.
        with suppress(PausedError, StopRequestedError, StorageFullError):
            attempt.keep_alive()

    stored = attempt.publish(on_progress=keep_alive)
    models = models_of(attempt.worker.analysis_for(done[0].claim.spec))
    return [(image.claim, image.results(image.files.rows(stored), models)) for image in done]
