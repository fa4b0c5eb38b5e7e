"""/api/v1/jobs/<job>/events: the progress of a job as server-sent events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from flask import Blueprint, Response, request

from faces_jobs.errors import FacesJobsError, NotFoundError
from faces_jobs.jobs.documents import JobDocument
from faces_jobs.results import get_job, job_version
from faces_jobs_web.disconnect import disconnect_check
from faces_jobs_web.operations import Operation, ResponseSpec, describes
from faces_jobs_web.services import current_services
from faces_jobs_web.watching import Watcher

blueprint = Blueprint("events", __name__, url_prefix="/api/v1")

EVENT_STREAM = "text/event-stream"
LAST_EVENT = "Last-Event-ID"
# A comment is sent at least this often so that proxies keep the connection open. It is sent at
# once to a client that seems to have disconnected: if the write fails, its slot is freed.
HEARTBEAT_SECONDS = 15.0
RETRY_MS = 3000

_log = logging.getLogger(__name__)


@blueprint.get("/jobs/<job_id>/events")
@describes(
    Operation(
        tag="jobs",
        request_headers={LAST_EVENT: "The id of the last event received; it is not sent again."},
        responses={
            200: ResponseSpec(
                "`state`, `progress` and `end` events, each with the whole job.",
                media_types=(EVENT_STREAM,),
            ),
            204: ResponseSpec(
                "The job has ended and the client has seen the end: no events will follow."
            ),
        },
        problems=(404,),
    )
)
def index(job_id: str) -> Response:
    """Follow a job: an event each time its state or progress changes, until it ends.

    A client that reconnects with the last event's id in `Last-Event-ID` receives what has changed
    since. If the job is deleted, the stream ends with the event `deleted`.
    """
    services = current_services()
    job = get_job(services.database, job_id)
    known = request.headers.get(LAST_EVENT)
    if job.status.ended and known == job_version(job):
        return Response(status=204)
    services.watcher.acquire_slot()
    has_disconnected = disconnect_check(request.environ)
    response = Response(
        _stream(services.watcher, job, known, has_disconnected), content_type=EVENT_STREAM
    )
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # nginx would buffer the events
    response.call_on_close(services.watcher.release_slot)
    return response


def _stream(
    watcher: Watcher, job: JobDocument, known: str | None, has_disconnected: Callable[[], bool]
) -> Iterator[str]:
    yield f"retry: {RETRY_MS}\n\n"
    version = job_version(job)
    if version != known:
        yield _event("end" if job.status.ended else "state", job, version)
    try:
        while not job.status.ended and not watcher.is_stopping():
            changed = watcher.wait_for_change(
                job.id, version, seconds=HEARTBEAT_SECONDS, has_disconnected=has_disconnected
            )
            if changed is None:
                yield ": keep-alive\n\n"
                continue
            kind = "progress" if changed.status is job.status else "state"
            job, version = changed, job_version(changed)
            yield _event("end" if job.status.ended else kind, job, version)
    except NotFoundError:
        yield "event: deleted\ndata: {}\n\n"
    except FacesJobsError as error:
        # The status was already sent, so the stream just ends; the client reconnects with the id
        # of its last event.
        _log.warning("event stream of job %s ended early: %s", job.id, error)


def _event(kind: str, job: JobDocument, version: str) -> str:
    return f"id: {version}\nevent: {kind}\ndata: {job.model_dump_json()}\n\n"
