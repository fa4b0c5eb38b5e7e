"""Works on images of one job that were claimed together: many small files, few transactions."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import suppress

from faces_jobs.db.bundles import Ended, finish_bundle
from faces_jobs.db.claims import Bundle, SegmentClaim
from faces_jobs.db.release import STOPPED, release_bundle
from faces_jobs.errors import (
    CancelledError,
    LeaseLostError,
    MediaError,
    PausedError,
    StorageFullError,
)
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.worker.attempt import Attempt, bundle_attempt
from faces_jobs.worker.bundle_size import BUNDLE_SECONDS, PATIENCE
from faces_jobs.worker.facts import models_of
from faces_jobs.worker.heartbeat import StopRequestedError
from faces_jobs.worker.image import ProcessedImage, process_image
from faces_jobs.worker.resources import Worker

_log = logging.getLogger(__name__)


class Outcome:
    """What came of a bundle. Each of its claims is in one of the first four."""

    def __init__(self, bundle: Bundle) -> None:
        self.done: list[ProcessedImage] = []
        self.refused: list[tuple[SegmentClaim, ErrorDocument]] = []
        self.trouble: SegmentClaim | None = None  # what it met is no matter of the file alone
        self.left: list[SegmentClaim] = list(bundle)  # not begun with
        self.last = False  # the job is to be finished now


def run_bundle(bundle: Bundle, worker: Worker) -> Outcome:
    """Work on images until all are done or it has taken too long; record what came of them.

    What was not begun with goes back to the queue. An image that met trouble is still claimed:
    it is the caller's to try by itself, as everything else is tried.

    Raises:
        CancelledError, LeaseLostError: the claims no longer hold; nothing was recorded.
        DatabaseError, StorageFullError: nothing could be recorded.
    """
    outcome = Outcome(bundle)
    with bundle_attempt(bundle, worker) as attempt:
        _work(outcome, attempt)
        _record(outcome, attempt)
    return outcome


def _work(outcome: Outcome, attempt: Attempt) -> None:
    worker = attempt.worker
    began = time.monotonic()
    try:
        analysis = worker.analysis_for(outcome.left[0].spec)
        began = time.monotonic()
        while outcome.left and time.monotonic() - began < PATIENCE * BUNDLE_SECONDS:
            claim = outcome.left[0]
            try:
                worked = process_image(
                    claim, worker, attempt.out, analysis, on_progress=attempt.keep_alive
                )
                outcome.done.append(worked)
            except MediaError as error:
                if not error.permanent:
                    raise
                outcome.refused.append((claim, ErrorDocument.of(error)))
            del outcome.left[0]
    except (CancelledError, LeaseLostError):
        raise
    except (PausedError, StopRequestedError) as error:
        _log.info("cut short: %s", str(error) or STOPPED)
    except Exception as error:  # noqa: BLE001 (it is met again, and told, when the image is alone)
        _log.warning("an image is tried by itself: %s: %s", type(error).__name__, error)
        outcome.trouble = outcome.left.pop(0)
    worker.bundle_size.learn(len(outcome.done), time.monotonic() - began)


def _record(outcome: Outcome, attempt: Attempt) -> None:
    database = attempt.worker.database
    refused: list[Ended] = list(outcome.refused)
    if outcome.done:
        ended = refused + _published(outcome.done, attempt)
        outcome.last = bool(attempt.record(lambda: finish_bundle(database, ended)))
    else:
        attempt.heartbeat.stop()
        outcome.last = bool(refused) and finish_bundle(database, refused)
    if outcome.left:
        release_bundle(database, outcome.left)
    _log.info(
        "%d images done, %d refused, %d left for later",
        len(outcome.done),
        len(outcome.refused),
        len(outcome.left),
    )


def _published(done: Sequence[ProcessedImage], attempt: Attempt) -> list[Ended]:
    """The images with the rows of their files, which are published in one folder."""

    def go_on() -> None:
        # What is done is recorded though the rest goes back.
        with suppress(PausedError, StopRequestedError, StorageFullError):
            attempt.keep_alive()

    stored = attempt.publish(on_progress=go_on)
    models = models_of(attempt.worker.analysis_for(done[0].claim.spec))
    return [(each.claim, each.results(each.files.rows(stored), models)) for each in done]
