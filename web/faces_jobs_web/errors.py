"""Errors as clients see them: RFC 9457 problems from the API, pages from the pages.

This table is the one place where the project's errors meet HTTP. A problem's `type` is stable;
its `detail` is the error's own sentence. An error that is not ours becomes a 500 whose id is
logged beside the traceback; nothing else of it leaves the server.
"""

from __future__ import annotations

import logging
import secrets

from flask import Flask, Response, current_app, g, render_template, request
from gunicorn.http.errors import ParseException
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.exceptions import BadRequest, ClientDisconnected, HTTPException
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.sansio.response import Response as AnyResponse

from faces_jobs import errors
from faces_jobs.errors import FacesJobsError, NotReadyError, OptionsError
from faces_jobs_web.operations import PROBLEM

log = logging.getLogger(__name__)

# A queue takes longer to become shorter than a database to start.
RETRY_AFTER_SECONDS = {429: 30, 503: 5, 507: 60}
# What these errors say is for who runs the server (hosts, paths); who asks gets these sentences.
SENTENCES: tuple[tuple[type[FacesJobsError], str], ...] = (
    (errors.QueueError, "The queue does not answer. Nothing is lost: try again in a moment."),
    (errors.StorageError, "Where files are kept does not answer. Nothing is lost: try again soon."),
    (errors.DatabaseError, "The database does not answer or is being upgraded. Try again soon."),
)
INTERNAL = "internal"
# Beside the API: asked by machines, not by people.
FOR_MACHINES = frozenset({"/healthz", "/readyz", "/metrics"})
# Among the API's addresses, for people to read.
FOR_PEOPLE = frozenset({"/api/docs"})

# The first class that fits decides, so the special stand before the general.
STATUSES: tuple[tuple[type[FacesJobsError], int, str], ...] = (
    (errors.OptionsError, 422, "Options can't be used"),
    (errors.UploadTooLargeError, 413, "Upload too large"),
    (errors.IdempotencyConflictError, 409, "Idempotency key used before"),
    (errors.FolderError, 422, "Folder can't be used"),
    (errors.SubmissionError, 422, "Submission can't become a job"),
    (errors.NotFoundError, 404, "Not found"),
    (errors.StateError, 409, "Not possible in this state"),
    (errors.EmptyFileError, 422, "Empty file"),
    (errors.FrameSizeError, 422, "Frame size out of bounds"),
    (errors.NoVideoError, 422, "No picture in the file"),
    (errors.TruncatedError, 422, "Truncated file"),
    (errors.SourceError, 422, "Submitted file can't be read"),
    (errors.ArchiveError, 415, "Archive, not a picture"),
    (errors.TextError, 415, "Text, not a picture"),
    (errors.UnknownMediaError, 415, "Unknown kind of file"),
    (errors.MediaError, 415, "File can't be processed"),
    (errors.QueueFullError, 429, "Too much waits"),
    (errors.StorageFullError, 507, "No room left"),
    (errors.StorageError, 503, "Files can't be reached"),
    (errors.NotReadyError, 503, "Not ready"),
    (errors.BusyError, 503, "Too many wait already"),
    (errors.QueueError, 503, "Queue does not answer"),
    (errors.DatabaseError, 503, "Database does not answer"),
)

# Code and title of the problems that no error of ours stands for, by HTTP status.
HTTP_CODES = {
    400: ("bad-request", "Request can't be read"),
    401: ("unauthorized", "Access token missing or wrong"),
    403: ("forbidden", "Not allowed"),
    404: ("not-found", "Not found"),
    405: ("method-not-allowed", "Method not possible here"),
    411: ("length-required", "Length missing"),
    412: ("precondition-failed", "Condition not met"),
    413: ("upload-too-large", "Upload too large"),
    415: ("content-type", "Content-Type can't be used"),
    416: ("range-not-satisfiable", "Range outside the file"),
    421: ("wrong-host", "Wrong host"),
}
INTERNAL_TITLE = "Server failed"


class Problem(BaseModel):
    """What went wrong, as RFC 9457 writes it."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(description="Stable name of the kind of problem: `/problems/<code>`.")
    title: str = Field(description="The kind of problem in a few words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="This problem in a sentence that says what to do.")
    code: str = Field(description="The last part of `type`.")
    fields: dict[str, str] | None = Field(
        default=None, description="Each option, parameter or part at fault, and why."
    )
    id: str | None = Field(
        default=None, description="Of an internal error: the id under which it was logged."
    )


def install_error_handlers(app: Flask) -> None:
    """Make every error of the app a problem or an error page."""
    app.register_error_handler(FacesJobsError, _on_own_error)
    app.register_error_handler(HTTPException, _on_http_error)
    app.register_error_handler(ParseException, _on_broken_body)
    app.register_error_handler(Exception, _on_unknown_error)


def problem_of(error: FacesJobsError) -> Problem:
    """The problem that stands for one of our errors."""
    for kind, status, title in STATUSES:
        if isinstance(error, kind):
            fields = error.fields if isinstance(error, OptionsError | NotReadyError) else None
            detail = str(error)
            for own, sentence in SENTENCES:
                if isinstance(error, own):
                    log.error("%s: %s", type(error).__name__, error)
                    detail = sentence
            return _problem(status, error.code, title, detail, fields=fields)
    return _internal(error)


def problem_codes() -> dict[str, tuple[int, str]]:
    """Every code that a problem may have, with its status and title, in the order of these."""
    codes = {code: (status, title) for status, (code, title) in HTTP_CODES.items()}
    for kind in _subclasses(FacesJobsError):
        found = next(
            ((status, title) for one, status, title in STATUSES if issubclass(kind, one)), None
        )
        if found is not None:
            codes[kind.code] = found
    codes[INTERNAL] = (500, INTERNAL_TITLE)
    return dict(sorted(codes.items(), key=lambda one: (one[1][0], one[0])))


def _subclasses(kind: type[FacesJobsError]) -> list[type[FacesJobsError]]:
    return [one for child in kind.__subclasses__() for one in (child, *_subclasses(child))]


def _on_own_error(error: FacesJobsError) -> Response:
    return _answer(problem_of(error))


def _on_http_error(error: HTTPException) -> AnyResponse:
    if error.response is not None or error.code is None or error.code < 400:
        return error.get_response(request.environ)
    unnamed = (f"http-{error.code}", HTTP_STATUS_CODES.get(error.code, "Error"))
    code, title = HTTP_CODES.get(error.code, unnamed)
    response = _answer(_problem(error.code, code, title, _sentence(error)))
    for name, value in error.get_headers(request.environ):
        if name.lower() not in {"content-type", "content-length"}:
            response.headers[name] = value
    return response


def _on_broken_body(_error: ParseException) -> AnyResponse:
    # The server's own reader found it, of a body that came in chunks.
    return _on_http_error(BadRequest("The body breaks off or is malformed: send it again."))


def _on_unknown_error(error: Exception) -> Response:
    return _answer(_internal(error))


def _internal(error: Exception) -> Problem:
    identity = secrets.token_hex(8)
    log.error("Error %s in %s %s", identity, request.method, request.path, exc_info=error)
    return _problem(
        500,
        INTERNAL,
        INTERNAL_TITLE,
        f"The server failed at this request. Its log tells more under the id {identity}.",
        identity=identity,
    )


def _sentence(error: HTTPException) -> str:
    if error.code == 404:
        return "There is nothing at this address."
    if error.code == 405:
        return f"{request.method} is not possible here."
    if isinstance(error, ClientDisconnected):
        return "The body breaks off: send it again."
    if error.code == 413:
        most = current_app.config["MAX_CONTENT_LENGTH"]
        return f"The body is longer than {most:,} bytes, the most that is read here."
    # Werkzeug's own descriptions quote nothing of the request or the server.
    return error.description or HTTP_STATUS_CODES.get(error.code or 0, "The request failed.")


def _problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    fields: dict[str, str] | None = None,
    identity: str | None = None,
) -> Problem:
    return Problem(
        type=f"/problems/{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        fields=fields,
        id=identity,
    )


def _answer(problem: Problem) -> Response:
    if wants_problem():
        body = problem.model_dump_json(exclude_none=True)
        response = Response(body, problem.status, content_type=PROBLEM)
    else:
        # The error may have come before the guard knew who asks.
        g.setdefault("by_bearer", False)
        response = Response(render_template("problem.html", problem=problem), problem.status)
    response.headers.extend(retry_after(problem.status))
    response.headers["Cache-Control"] = "no-store"
    return response


def retry_after(status: int) -> dict[str, str]:
    """The header that says when to try again, for statuses that pass."""
    seconds = RETRY_AFTER_SECONDS.get(status)
    return {} if seconds is None else {"Retry-After": str(seconds)}


def wants_problem() -> bool:
    """True for requests whose errors are problems, not pages."""
    path = request.path
    return path in FOR_MACHINES or (path.startswith("/api/") and path not in FOR_PEOPLE)
