"""/api/v1/jobs/<job>/tracks: the tracks of a job."""

from __future__ import annotations

from flask import Blueprint, Response, request

from faces_jobs.jobs.documents import TrackPage
from faces_jobs.results import list_tracks
from faces_jobs_web.api.answers import document_response
from faces_jobs_web.api.queries import TrackFilters, read_filters, track_query
from faces_jobs_web.operations import Operation, ResponseSpec, describes
from faces_jobs_web.services import current_services

blueprint = Blueprint("tracks", __name__, url_prefix="/api/v1")


@blueprint.get("/jobs/<job_id>/tracks")
@describes(
    Operation(
        tag="results",
        query=TrackFilters,
        responses={200: ResponseSpec("Tracks, ordered by item and number.", TrackPage)},
        problems=(404, 422),
    )
)
def index(job_id: str) -> Response:
    """List a job's tracks with their attributes.

    Several labels are given as a repeated parameter or separated by commas. A track must match
    all filters.
    """
    filters = read_filters(TrackFilters, request.args)
    return document_response(list_tracks(current_services().database, track_query(filters, job_id)))
