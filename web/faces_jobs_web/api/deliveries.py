"""/api/v1/jobs/<job>/deliveries: the webhooks of a job, with the result of each attempt."""

from __future__ import annotations

from flask import Blueprint, Response, request

from faces_jobs.jobs.documents import DeliveryPage
from faces_jobs.results import list_deliveries
from faces_jobs_web.api.answers import document_response
from faces_jobs_web.api.queries import PageFilters, read_filters
from faces_jobs_web.operations import Operation, ResponseSpec, describes
from faces_jobs_web.services import current_services

blueprint = Blueprint("deliveries", __name__, url_prefix="/api/v1")


@blueprint.get("/jobs/<job_id>/deliveries")
@describes(
    Operation(
        tag="jobs",
        query=PageFilters,
        responses={
            200: ResponseSpec("Webhooks, oldest first, each with its attempts.", DeliveryPage)
        },
        problems=(404, 422),
    )
)
def index(job_id: str) -> Response:
    """List a job's webhooks: one for each time the job ended."""
    filters = read_filters(PageFilters, request.args)
    return document_response(
        list_deliveries(
            current_services().database, job_id, cursor=filters.cursor, limit=filters.limit
        )
    )
