"""/healthz and /readyz: whether this server, and the whole service, can work.

They say nothing else, so they need no token.
"""

from __future__ import annotations

import logging
from typing import Literal

from flask import Blueprint, Response
from sqlalchemy import select

from faces_jobs.db.tables import JobRow
from faces_jobs.errors import NotReadyError
from faces_jobs.jobs.documents import Document
from faces_jobs.readiness import PROBLEM_MESSAGES
from faces_jobs_web.answers import document_response
from faces_jobs_web.operations import Answer, Operation, describes
from faces_jobs_web.services import services

blueprint = Blueprint("health", __name__)
log = logging.getLogger(__name__)


class Health(Document):
    """All is well."""

    status: Literal["ok"] = "ok"


class Ready(Document):
    """Nothing is missing."""

    status: Literal["ready"] = "ready"


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
    held.storage.check_free_space()
    return document_response(Health())


@blueprint.get("/readyz")
@describes(
    Operation(
        tag="server",
        public=True,
        answers={200: Answer("All parts are there: what is submitted now is worked on.", Ready)},
    )
)
def ready() -> Response:
    """Tell whether the whole service can work.

    The database answers and has this version's schema, the broker answers, the storage can be
    written to and has room, and a worker and a sweep told lately that they live. Where something
    is missing, `fields` of the problem names it.

    Raises:
        NotReadyError: something is missing.
    """
    missing = services().readiness.check().missing
    if missing:
        log.warning("not ready: %s", "; ".join(f"{part}: {why}" for part, why in missing.items()))
        raise NotReadyError({part: PROBLEM_MESSAGES[part] for part in missing})
    return document_response(Ready())
