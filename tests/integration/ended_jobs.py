"""Jobs that have ended with a webhook to send, and the deliveries of their webhooks."""

from __future__ import annotations

import base64
from typing import Any

from sqlalchemy import update

from faces_jobs.db.claims.leases import claim_job
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.jobs.endings import finish_job
from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.db.tables import DeliveryRow
from faces_jobs.jobs.documents import DeliveryDocument
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.results import list_deliveries
from tests.factories import face, new_claim, results, stored_job

WEBHOOK_KEY = bytes(range(32))
WEBHOOK_SECRET = "whsec_" + base64.b64encode(WEBHOOK_KEY).decode()


def ended_job(database: Database, url: str, **options: Any) -> str:
    """Store a job that succeeded. Returns its id."""
    job = stored_job(database, spec=JobSpec(webhook=url, **options))
    finish_segment(database, new_claim(database, job.segments[0]), results([face()]))
    claim = claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3)
    assert claim is not None
    finish_job(database, claim, [])
    return job.id


def only_delivery(database: Database, job_id: str) -> DeliveryDocument:
    """Return the only delivery of a job."""
    (delivery,) = list_deliveries(database, job_id).deliveries
    return delivery


def make_due(database: Database) -> None:
    """End every pause and lease."""
    with database.begin() as session:
        session.execute(
            update(DeliveryRow)
            .where(DeliveryRow.next_at.is_not(None))
            .values(next_at=now_seconds() - 1, lease_until=now_seconds() - 1)
        )
