"""What a worker does when it is rung for: it takes what comes first, whatever the message named."""

from __future__ import annotations

import logging

from faces_jobs.db.bundles import may_lead_bundle, take_rest_of_bundle
from faces_jobs.db.scheduling import claim_next, next_job_to_finish
from faces_jobs.worker.finish import finish_job
from faces_jobs.worker.process import process_bundle, process_claim
from faces_jobs.worker.resources import Worker

_log = logging.getLogger(__name__)


def take_next_work(worker: Worker) -> None:
    """Write the exports of a job that waits for it, if any; then work on what is next, if any.

    That is one segment; or as many images of a job as are done in about two seconds.

    May be called at any time, by many. A message is a doorbell: behind a thousand of a long film
    that of a photograph would be the last to be read, but any of them makes a worker look who is
    next.
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
        _log.debug("nothing is to be had")
        return
    worker.work_started.set()
    if not may_lead_bundle(claim):
        process_claim(claim, worker)
        return
    limit = worker.bundle_size.images
    beside = take_rest_of_bundle(
        worker.database,
        claim,
        worker=worker.name,
        lease_seconds=settings.lease_seconds,
        limit=limit - 1,
    )
    process_bundle([claim, *beside], worker, more=len(beside) == limit - 1)
