"""Takes the next work from the database, regardless of which segment the message named."""

from __future__ import annotations

import logging

from faces_jobs.db.claims.scheduling import claim_next, next_job_to_finish
from faces_jobs.db.segments.bundles import can_start_bundle, claim_rest_of_bundle
from faces_jobs.worker.finish import finish_job
from faces_jobs.worker.process import process_bundle, process_claim
from faces_jobs.worker.resources import Worker

_log = logging.getLogger(__name__)


def take_next_work(worker: Worker) -> None:
    """Finish a job that waits for its exports, if any; then process the next segment, if any.

    Images of one job are taken as a bundle, as many as take about two seconds.

    May be called at any time, by many workers at once. Work is not taken in the order of the
    messages: a photograph's message may be queued behind a thousand segments of a long film, but
    the next worker that receives any message takes whatever the rows say comes first.
    """
    settings = worker.settings
    job_id = next_job_to_finish(worker.database, max_attempts=settings.max_attempts)
    if job_id is not None:
        worker.work_started.set()
        finish_job(job_id, worker)
    claim = claim_next(
        worker.database,
        worker=worker.name,
        lease_seconds=settings.lease_seconds,
        max_attempts=settings.max_attempts,
    )
    if claim is None:
        _log.debug("no segment is available")
        return
    worker.work_started.set()
    if not can_start_bundle(claim):
        process_claim(claim, worker)
        return
    limit = worker.bundle_size.images
    rest = claim_rest_of_bundle(
        worker.database,
        claim,
        worker=worker.name,
        lease_seconds=settings.lease_seconds,
        limit=limit - 1,
    )
    process_bundle([claim, *rest], worker, has_more=len(rest) == limit - 1)
