"""/healthz and /readyz: whether this server is healthy, and whether the service is ready.

They reveal nothing else, so they need no access token.
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
from faces_jobs_web.api.answers import document_response
from faces_jobs_web.operations import Operation, ResponseSpec, describes
from faces_jobs_web.services import current_services

blueprint = Blueprint("health", __name__)
log = logging.getLogger(__name__)


class Health(Document):
    """The server is healthy."""

    status: Literal["ok"] = "ok"


class Ready(Document):
    """The service is ready."""

    status: Literal["ready"] = "ready"


@blueprint.get("/healthz")
@describes(
    Operation(
        tag="server",
        public=True,
        responses={
            200: ResponseSpec("The database responds and there is free disk space.", Health)
        },
        problems=(507,),
    )
)
def show() -> Response:
    """Check that the server is healthy: the database responds and there is room for uploads."""
    services = current_services()
    with services.database.read() as session:
        session.execute(select(JobRow.id).limit(1))
    services.storage.check_free_space()
    return document_response(Health())


@blueprint.get("/readyz")
@describes(
    Operation(
        tag="server",
        public=True,
        responses={
            200: ResponseSpec("All parts are available: submitted jobs will be processed.", Ready)
        },
    )
)
def ready() -> Response:
    """Check that the whole service can process jobs.

    The database responds, is writable and has this version's schema, the broker responds, the
    storage is writable and has free space, and a worker and a sweep have recently reported that
    they are running. Otherwise `fields` of the problem names what is missing.

    Raises:
        NotReadyError: a part of the service is missing.
    """
    missing = current_services().readiness.check().missing
    if missing:
        log.warning(
            "not ready: %s", "; ".join(f"{part}: {reason}" for part, reason in missing.items())
        )
        raise NotReadyError({part: PROBLEM_MESSAGES[part] for part in missing})
    return document_response(Ready())
