"""/api/v1/jobs/<job>/items: the files of a job with their states and errors."""

from __future__ import annotations

from flask import Blueprint, Response, request

from faces_jobs.jobs.documents import ItemPage
from faces_jobs.results import list_items
from faces_jobs_web.api.answers import document_response
from faces_jobs_web.api.queries import ItemFilters, read_filters
from faces_jobs_web.operations import Operation, ResponseSpec, describes
from faces_jobs_web.services import current_services

blueprint = Blueprint("items", __name__, url_prefix="/api/v1")


@blueprint.get("/jobs/<job_id>/items")
@describes(
    Operation(
        tag="results",
        query=ItemFilters,
        responses={200: ResponseSpec("Items in order of submission.", ItemPage)},
        problems=(404, 422),
    )
)
def index(job_id: str) -> Response:
    """List a job's items, one per file."""
    filters = read_filters(ItemFilters, request.args)
    return document_response(
        list_items(
            current_services().database,
            job_id,
            status=filters.status,
            cursor=filters.cursor,
            limit=filters.limit,
        )
    )
