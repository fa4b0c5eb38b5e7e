"""/healthz: whether this server can do its work. Says nothing else, so it needs no token."""

from __future__ import annotations

from typing import Literal

from flask import Blueprint, Response
from sqlalchemy import select

from faces_jobs.db.tables import JobRow
from faces_jobs.jobs.documents import Document
from faces_jobs_web.answers import document_response
from faces_jobs_web.operations import Answer, Operation, describes
from faces_jobs_web.services import services

blueprint = Blueprint("health", __name__)


class Health(Document):
    """All is well."""

    status: Literal["ok"] = "ok"


@blueprint.get("/healthz")
@describes(
    Operation(
        tag="server",
        public=True,
        answers={200: Answer("The database answers and there is room to write.", Health)},
        problems=(507,),
    )
)
def show() -> Response:
    """Tell whether the server is well: the database answers and there is room for uploads."""
    held = services()
    with held.database.read() as session:
        session.execute(select(JobRow.id).limit(1))
    held.storage.check_room()
    return document_response(Health())
