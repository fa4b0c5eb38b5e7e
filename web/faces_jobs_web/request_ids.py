"""Each request's id: taken over or made, on every log line of the request and in the answer."""

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
BEGAN_KEY = "faces_jobs.began"
# Whatever else a client sends would stand in the logs as it likes: it gets an id of ours.
GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")

log = logging.getLogger(__name__)


def install_request_ids(app: Flask) -> None:
    """Give every request of the app an id, and log how it was answered."""
    app.wsgi_app = _Identified(app.wsgi_app)  # type: ignore[method-assign]  # Flask's own way
    app.after_request(_end)


class _Identified:
    """Wraps the app, so that lines before and after every view carry the id as well."""

    def __init__(self, wsgi_app: WSGIApplication) -> None:
        self._wsgi_app = wsgi_app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        identity = given if GIVEN.fullmatch(given) else uuid.uuid4().hex
        environ[ENVIRONMENT_KEY] = identity
        environ[BEGAN_KEY] = time.perf_counter()
        with log_context(request=identity):
            return self._wsgi_app(environ, start_response)


def seconds_since_begin() -> float:
    """How long the current request has been worked on."""
    return time.perf_counter() - float(request.environ[BEGAN_KEY])


def _end(response: Response) -> Response:
    response.headers[HEADER] = request.environ[ENVIRONMENT_KEY]
    # Polls and pages are many and say little; what changes something, or failed, is told.
    quiet = request.method in {"GET", "HEAD", "OPTIONS"} and response.status_code < 500
    log.log(
        logging.DEBUG if quiet else logging.INFO,
        "%s %s %d in %.0f ms",
        request.method,
        request.path,
        response.status_code,
        seconds_since_begin() * 1000,
    )
    return response
