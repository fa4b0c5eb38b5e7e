"""/api/v1/audit: the log of deletions, and whether each was verified."""

from __future__ import annotations

from flask import Blueprint, Response, request

from faces_jobs.jobs.documents import AuditPage
from faces_jobs.results import list_audit
from faces_jobs_web.api.answers import document_response
from faces_jobs_web.api.queries import AuditFilters, read_filters
from faces_jobs_web.operations import Operation, ResponseSpec, describes
from faces_jobs_web.services import current_services

blueprint = Blueprint("audit", __name__, url_prefix="/api/v1")


@blueprint.get("/audit")
@describes(
    Operation(
        tag="server",
        query=AuditFilters,
        responses={200: ResponseSpec("Deletions, newest first.", AuditPage)},
        problems=(422,),
    )
)
def index() -> Response:
    """List deletions: when, why, by whom, how much, and when each was verified."""
    filters = read_filters(AuditFilters, request.args)
    return document_response(
        list_audit(
            current_services().database,
            job_id=filters.job,
            cursor=filters.cursor,
            limit=filters.limit,
        )
    )
