"""Request ids: accepted or generated for each request, added to its log lines and its response."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask, Response, request

from faces_jobs.logs import log_context

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HEADER = "X-Request-Id"
ENVIRONMENT_KEY = "faces_jobs.request_id"
STARTED_KEY = "faces_jobs.started"
# Ids of any other form are replaced, so that clients can't inject text into the logs.
ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

log = logging.getLogger(__name__)


def install_request_ids(app: Flask) -> None:
    """Give every request of the app an id, and log its response."""
    app.wsgi_app = _RequestIdMiddleware(app.wsgi_app)  # type: ignore[method-assign]  # Flask documents it
    app.after_request(_log_response)


class _RequestIdMiddleware:
    """WSGI middleware, so that log lines before and after the view have the id as well."""

    def __init__(self, wsgi_app: WSGIApplication) -> None:
        self._wsgi_app = wsgi_app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        sent = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = sent if ACCEPTED_ID.fullmatch(sent) else uuid.uuid4().hex
        environ[ENVIRONMENT_KEY] = request_id
        environ[STARTED_KEY] = time.perf_counter()
        with log_context(request=request_id):
            return self._wsgi_app(environ, start_response)


def seconds_since_start() -> float:
    """Return how long the current request has been processed."""
    return time.perf_counter() - float(request.environ[STARTED_KEY])


def _log_response(response: Response) -> Response:
    response.headers[HEADER] = request.environ[ENVIRONMENT_KEY]
    # Polls and pages are frequent and of little interest, unlike changes and failures.
    is_routine = request.method in {"GET", "HEAD", "OPTIONS"} and response.status_code < 500
    log.log(
        logging.DEBUG if is_routine else logging.INFO,
        "%s %s %d in %.0f ms",
        request.method,
        request.path,
        response.status_code,
        seconds_since_start() * 1000,
    )
    return response
