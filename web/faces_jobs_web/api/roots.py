"""/api/v1/roots: the names of the server folders that can be submitted."""

from __future__ import annotations

from flask import Blueprint, Response
from pydantic import Field

from faces_jobs.jobs.documents import Document
from faces_jobs_web.api.answers import document_response
from faces_jobs_web.operations import Operation, ResponseSpec, describes
from faces_jobs_web.services import current_services

blueprint = Blueprint("roots", __name__, url_prefix="/api/v1/roots")


class RootList(Document):
    """The names of the roots, without their paths."""

    roots: list[str] = Field(description="Names of the roots, for `root` of a submission.")


@blueprint.get("")
@describes(
    Operation(tag="server", responses={200: ResponseSpec("The names of the roots.", RootList)})
)
def index() -> Response:
    """List the server's roots: folders that can be submitted without an upload."""
    return document_response(RootList(roots=sorted(current_services().settings.roots)))
