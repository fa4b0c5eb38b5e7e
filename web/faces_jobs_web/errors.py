"""Maps errors to HTTP responses: RFC 9457 problems for the API, HTML error pages for browsers.

`STATUSES` is the only place where the project's errors are mapped to HTTP statuses. A problem's
`type` is stable; its `detail` is the error's message. Any other exception becomes a 500 with an
id that is logged with the traceback; nothing else about it is sent to the client.
"""

from __future__ import annotations

import logging
import secrets

from flask import Flask, Response, current_app, g, render_template, request
from gunicorn.http.errors import ParseException
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.exceptions import (
    BadRequest,
    ClientDisconnected,
    HTTPException,
    RequestedRangeNotSatisfiable,
)
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.sansio.response import Response as AnyResponse

from faces_jobs import errors
from faces_jobs.errors import FacesJobsError, NotReadyError, OptionsError
from faces_jobs_web.operations import PROBLEM

log = logging.getLogger(__name__)

# A full queue takes longer to shrink than a database takes to restart.
RETRY_AFTER_SECONDS = {429: 30, 503: 5, 507: 60}
# The messages of these errors are for the operator (they contain hosts and paths), so they are
# only logged. Clients get these instead.
PUBLIC_DETAILS: tuple[tuple[type[FacesJobsError], str], ...] = (
    (errors.QueueError, "The queue does not respond. No data was lost: try again in a moment."),
    (errors.StorageError, "The storage does not respond. No data was lost: try again soon."),
    (errors.DatabaseError, "The database does not respond or is being upgraded. Try again soon."),
)
INTERNAL = "internal"
# Paths outside /api/ that programs request.
MACHINE_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
# Paths below /api/ that people read.
HUMAN_PATHS = frozenset({"/api/docs"})

# The first matching class wins, so subclasses come before their base classes.
STATUSES: tuple[tuple[type[FacesJobsError], int, str], ...] = (
    (errors.OptionsError, 422, "Invalid options"),
    (errors.UploadTooLargeError, 413, "Upload too large"),
    (errors.IdempotencyConflictError, 409, "Idempotency key used before"),
    (errors.FolderError, 422, "Invalid folder"),
    (errors.SubmissionError, 422, "Invalid submission"),
    (errors.NotFoundError, 404, "Not found"),
    (errors.StateError, 409, "Not possible in this state"),
    (errors.EmptyFileError, 422, "Empty file"),
    (errors.FrameSizeError, 422, "Frame size out of bounds"),
    (errors.NoVideoError, 422, "No frames in the file"),
    (errors.TruncatedError, 422, "Truncated file"),
    (errors.SourceError, 422, "Submitted file can't be read"),
    (errors.ArchiveError, 415, "Archive, not an image or video"),
    (errors.TextError, 415, "Text, not an image or video"),
    (errors.UnknownMediaError, 415, "Unknown file type"),
    (errors.MediaError, 415, "File can't be processed"),
    (errors.QueueFullError, 429, "Queue full"),
    (errors.StorageFullError, 507, "No disk space left"),
    (errors.StorageError, 503, "Storage unavailable"),
    (errors.NotReadyError, 503, "Not ready"),
    (errors.BusyError, 503, "Too many waiting requests"),
    (errors.QueueError, 503, "Queue unavailable"),
    (errors.DatabaseError, 503, "Database unavailable"),
)

# Code and title of problems that come from Flask or Werkzeug, by HTTP status.
HTTP_CODES = {
    400: ("bad-request", "Malformed request"),
    401: ("unauthorized", "Access token missing or wrong"),
    403: ("forbidden", "Not allowed"),
    404: ("not-found", "Not found"),
    405: ("method-not-allowed", "Method not allowed"),
    408: ("request-timeout", "Request too slow"),
    411: ("length-required", "Content-Length missing"),
    412: ("precondition-failed", "Precondition failed"),
    413: ("upload-too-large", "Upload too large"),
    415: ("content-type", "Unsupported Content-Type"),
    416: ("range-not-satisfiable", "Range outside the file"),
    421: ("wrong-host", "Wrong host"),
}
INTERNAL_TITLE = "Internal server error"


class Problem(BaseModel):
    """A problem as RFC 9457 defines it."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(description="Stable identifier of the problem type: `/problems/<code>`.")
    title: str = Field(description="The problem type in a few words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What went wrong this time, and what to do about it.")
    code: str = Field(description="The last part of `type`.")
    fields: dict[str, str] | None = Field(
        default=None, description="Each invalid option or parameter, or missing part, and why."
    )
    id: str | None = Field(default=None, description="Id of an internal error in the server's log.")


def install_error_handlers(app: Flask) -> None:
    """Register handlers that turn every error of the app into a problem or an error page."""
    app.register_error_handler(FacesJobsError, _on_faces_jobs_error)
    app.register_error_handler(HTTPException, _on_http_error)
    app.register_error_handler(ParseException, _on_malformed_body)
    app.register_error_handler(Exception, _on_unknown_error)


def problem_of(error: FacesJobsError) -> Problem:
    """Return the problem that describes one of the project's errors."""
    for kind, status, title in STATUSES:
        if isinstance(error, kind):
            fields = error.fields if isinstance(error, OptionsError | NotReadyError) else None
            detail = str(error)
            for private, public_detail in PUBLIC_DETAILS:
                if isinstance(error, private):
                    log.error("%s: %s", type(error).__name__, error)
                    detail = public_detail
            return _problem(status, error.code, title, detail, fields=fields)
    return _internal_problem(error)


def problem_codes() -> dict[str, tuple[int, str]]:
    """Return every problem code with its status and title, ordered by status and code."""
    codes = {code: (status, title) for status, (code, title) in HTTP_CODES.items()}
    for kind in _subclasses(FacesJobsError):
        status_and_title = next(
            ((status, title) for base, status, title in STATUSES if issubclass(kind, base)), None
        )
        if status_and_title is not None:
            codes[kind.code] = status_and_title
    codes[INTERNAL] = (500, INTERNAL_TITLE)
    return dict(sorted(codes.items(), key=lambda entry: (entry[1][0], entry[0])))


def _subclasses(kind: type[FacesJobsError]) -> list[type[FacesJobsError]]:
    return [
        subclass for child in kind.__subclasses__() for subclass in (child, *_subclasses(child))
    ]


def _on_faces_jobs_error(error: FacesJobsError) -> Response:
    return _problem_response(problem_of(error))


def _on_http_error(error: HTTPException) -> AnyResponse:
    if error.response is not None or error.code is None or error.code < 400:
        return error.get_response(request.environ)
    generic = (f"http-{error.code}", HTTP_STATUS_CODES.get(error.code, "Error"))
    code, title = HTTP_CODES.get(error.code, generic)
    response = _problem_response(_problem(error.code, code, title, _detail(error)))
    for name, value in error.get_headers(request.environ):
        if name.lower() not in {"content-type", "content-length"}:
            response.headers[name] = value
    return response


def _on_malformed_body(_error: ParseException) -> AnyResponse:
    # Raised by gunicorn while a view reads a chunked body.
    return _on_http_error(BadRequest("The body is incomplete or malformed: send it again."))


def _on_unknown_error(error: Exception) -> Response:
    return _problem_response(_internal_problem(error))


def _internal_problem(error: Exception) -> Problem:
    error_id = secrets.token_hex(8)
    log.error("Error %s in %s %s", error_id, request.method, request.path, exc_info=error)
    return _problem(
        500,
        INTERNAL,
        INTERNAL_TITLE,
        "The request caused an internal error. The server's log has details under the id "
        f"{error_id}.",
        error_id=error_id,
    )


def _detail(error: HTTPException) -> str:
    if error.code == 404:
        return "There is nothing at this address."
    if error.code == 405:
        return f"{request.method} is not allowed here."
    if isinstance(error, ClientDisconnected):
        return "The body is incomplete: send it again."
    if isinstance(error, RequestedRangeNotSatisfiable) and error.length is not None:
        return f"The file has {error.length:,} bytes: ask for a range within it."
    if error.code == 413:
        max_bytes = current_app.config["MAX_CONTENT_LENGTH"]
        return f"The body has more than {max_bytes:,} bytes, the maximum for this request."
    # Werkzeug's descriptions reveal nothing about the request or the server.
    return error.description or HTTP_STATUS_CODES.get(error.code or 0, "The request failed.")


def _problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    fields: dict[str, str] | None = None,
    error_id: str | None = None,
) -> Problem:
    return Problem(
        type=f"/problems/{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        fields=fields,
        id=error_id,
    )


def _problem_response(problem: Problem) -> Response:
    if wants_problem():
        body = problem.model_dump_json(exclude_none=True)
        response = Response(body, problem.status, content_type=PROBLEM)
    else:
        # The error may have been raised before the guard set this.
        g.setdefault("by_bearer", False)
        response = Response(render_template("problem.html", problem=problem), problem.status)
    response.headers.extend(retry_after_header(problem.status))
    response.headers["Cache-Control"] = "no-store"
    return response


def retry_after_header(status: int) -> dict[str, str]:
    """Return a Retry-After header for temporary errors, nothing for other statuses."""
    seconds = RETRY_AFTER_SECONDS.get(status)
    return {} if seconds is None else {"Retry-After": str(seconds)}


def wants_problem() -> bool:
    """Return whether errors of the current request are problem+json rather than HTML pages."""
    path = request.path.rstrip("/")
    return path in MACHINE_PATHS or (request.path.startswith("/api/") and path not in HUMAN_PATHS)
