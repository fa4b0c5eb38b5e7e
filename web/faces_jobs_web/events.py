"""/api/v1/jobs/<job>/events: what happens to a job, as server-sent events."""

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
# So often something is sent, so that proxies keep the connection. To who seems to have gone it is
# sent at once: where it can't be, the place comes free.
HEARTBEAT_SECONDS = 15.0
RETRY_MS = 3000

_log = logging.getLogger(__name__)


@blueprint.get("/jobs/<job_id>/events")
@describes(
    Operation(
        tag="jobs",
        request_headers={LAST_EVENT: "The last event that was seen: it is not sent again."},
        responses={
            200: ResponseSpec(
                "`state`, `progress` and `end` events, each with the whole job.",
                media_types=(EVENT_STREAM,),
            ),
            204: ResponseSpec("The job has ended, and its end was seen: nothing more will happen."),
        },
        problems=(404,),
    )
)
def index(job_id: str) -> Response:
    """Follow a job: an event each time that its state or progress changes, up to its end.

    An event's id names what was seen: a client that comes back with it in `Last-Event-ID` gets
    what is different since. A job that is deleted ends the stream with the event `deleted`.
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
    response.headers["X-Accel-Buffering"] = "no"  # nginx would keep events back
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
            fresh = watcher.wait_for_change(
                job.id, version, seconds=HEARTBEAT_SECONDS, has_disconnected=has_disconnected
            )
            if fresh is None:
                yield ": still here\n\n"
                continue
            kind = "progress" if fresh.status is job.status else "state"
            job, version = fresh, job_version(fresh)
            yield _event("end" if job.status.ended else kind, job, version)
    except NotFoundError:
        yield "event: deleted\ndata: {}\n\n"
    except FacesJobsError as error:
        # Too late for a status: the stream breaks off, and its client comes back with its place.
        _log.warning("events of job %s break off: %s", job.id, error)


def _event(kind: str, job: JobDocument, version: str) -> str:
    return f"id: {version}\nevent: {kind}\ndata: {job.model_dump_json()}\n\n"
