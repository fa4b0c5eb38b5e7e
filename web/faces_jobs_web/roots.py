"""/api/v1/roots: the names of the server's folders that may be submitted."""

from __future__ import annotations

from flask import Blueprint, Response
from pydantic import Field

from faces_jobs.jobs.documents import Document
from faces_jobs_web.answers import document_response
from faces_jobs_web.operations import Operation, ResponseSpec, describes
from faces_jobs_web.services import current_services

blueprint = Blueprint("roots", __name__, url_prefix="/api/v1/roots")


class RootList(Document):
    """The roots, by name. Where they lie is the server's own business."""

    roots: list[str] = Field(description="Names to submit folders below.")


@blueprint.get("")
@describes(Operation(tag="server", responses={200: ResponseSpec("The roots.", RootList)}))
def index() -> Response:
    """List the server's roots: folders that can be submitted without an upload."""
    return document_response(RootList(roots=sorted(current_services().settings.roots)))
