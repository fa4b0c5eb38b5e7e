"""/api/v1/faces and /api/v1/jobs/<job>/faces: the faces in each frame."""

from __future__ import annotations

from flask import Blueprint, Response, request

from faces_jobs.jobs.documents import FacePage
from faces_jobs.results import list_faces
from faces_jobs_web.api.answers import document_response
from faces_jobs_web.api.queries import FaceFilters, face_query, read_filters
from faces_jobs_web.operations import Operation, ResponseSpec, describes
from faces_jobs_web.services import current_services

blueprint = Blueprint("faces", __name__, url_prefix="/api/v1")

_RESPONSES = {200: ResponseSpec("Faces, ordered by item, frame and position.", FacePage)}


@blueprint.get("/faces")
@describes(Operation(tag="results", query=FaceFilters, responses=_RESPONSES, problems=(422,)))
def across_jobs() -> Response:
    """List the faces of all jobs.

    Several labels are given as a repeated parameter or separated by commas. A face must match all
    filters.
    """
    filters = read_filters(FaceFilters, request.args)
    return document_response(list_faces(current_services().database, face_query(filters, None)))


@blueprint.get("/jobs/<job_id>/faces")
@describes(Operation(tag="results", query=FaceFilters, responses=_RESPONSES, problems=(404, 422)))
def of_job(job_id: str) -> Response:
    """List a job's faces.

    Several labels are given as a repeated parameter or separated by commas. A face must match all
    filters.
    """
    filters = read_filters(FaceFilters, request.args)
    return document_response(list_faces(current_services().database, face_query(filters, job_id)))
