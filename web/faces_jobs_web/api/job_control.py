"""Actions on existing jobs: cancel, pause, resume, retry and change the priority."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, redirect, request, url_for
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from werkzeug.wrappers import Response as AnyResponse

from faces_jobs.errors import OptionsError
from faces_jobs.jobs.documents import JobDocument
from faces_jobs.jobs.spec import Priority
from faces_jobs.results import cancel_job, pause_job, resume_job, retry_job, set_priority
from faces_jobs_web.api.answers import document_response
from faces_jobs_web.api.json_body import json_body
from faces_jobs_web.guard import FORM_FIELD, check_form_token
from faces_jobs_web.operations import FORM, JSON, Operation, ResponseSpec, describes
from faces_jobs_web.services import Services, current_services

blueprint = Blueprint("job_control", __name__)


class JobChange(BaseModel):
    """Changes to a job."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    priority: Priority = Field(description="`low`, `normal` or `high`.")


def _cancel(services: Services, job_id: str) -> JobDocument:
    return cancel_job(services.database, job_id)


def _pause(services: Services, job_id: str) -> JobDocument:
    return pause_job(services.database, job_id)


def _resume(services: Services, job_id: str) -> JobDocument:
    return resume_job(services.database, services.queue, job_id)


def _retry(services: Services, job_id: str) -> JobDocument:
    return retry_job(services.database, services.queue, job_id)


ACTIONS: dict[str, Callable[[Services, str], JobDocument]] = {
    "cancel": _cancel,
    "pause": _pause,
    "resume": _resume,
    "retry": _retry,
}


def _operation(description: str) -> Operation:
    responses = {200: ResponseSpec(description, JobDocument)}
    return Operation(tag="jobs", responses=responses, problems=(403, 404, 409))


@blueprint.post("/api/v1/jobs/<job_id>/cancel")
@describes(_operation("The cancelled job."))
def cancel(job_id: str) -> Response:
    """Cancel a job that has not ended.

    Results of items that have ended are kept. Cancelling a job again has no effect.
    """
    return document_response(_cancel(current_services(), job_id))


@blueprint.post("/api/v1/jobs/<job_id>/pause")
@describes(_operation("The paused job."))
def pause(job_id: str) -> Response:
    """Pause a job that has not ended, until it is resumed.

    Work in progress returns to the queue within seconds and does not count as an attempt;
    finished work is kept. A job stays paused when processes or machines are restarted.
    """
    return document_response(_pause(current_services(), job_id))


@blueprint.post("/api/v1/jobs/<job_id>/resume")
@describes(_operation("The resumed job."))
def resume(job_id: str) -> Response:
    """Resume a job that is paused or waiting for space.

    A job that is waiting for space also resumes by itself once there is enough.
    """
    return document_response(_resume(current_services(), job_id))


@blueprint.post("/api/v1/jobs/<job_id>/retry")
@describes(_operation("The job, which is queued again."))
def retry(job_id: str) -> Response:
    """Retry the failed and cancelled items of a job that has ended.

    The other items are left as they are, and the tables are written again at the end. Files that
    were refused at submission stay failed.
    """
    return document_response(_retry(current_services(), job_id))


@blueprint.patch("/api/v1/jobs/<job_id>")
@describes(
    Operation(
        tag="jobs",
        bodies={JSON: JobChange},
        responses={200: ResponseSpec("The changed job.", JobDocument)},
        problems=(403, 404, 408, 409, 413, 415, 422),
    )
)
def change(job_id: str) -> Response:
    """Change the priority of a job that has not ended."""
    body = json_body()
    if not isinstance(body, dict):
        raise OptionsError({"body": "must be a JSON object with the priority"})
    try:
        change_request = JobChange.model_validate(body)
    except ValidationError as error:
        raise OptionsError(
            {str(problem["loc"][0]): problem["msg"] for problem in error.errors()}
        ) from error
    return document_response(
        set_priority(current_services().database, job_id, change_request.priority)
    )


@blueprint.post(f"/jobs/<job_id>/<any({', '.join(ACTIONS)}):action>")
@describes(
    Operation(
        tag="pages",
        bodies={FORM: {"type": "object"}},
        responses={303: ResponseSpec("Done: redirects to the job's page.")},
    )
)
def act(job_id: str, action: str) -> AnyResponse:
    """Cancel, pause, resume or retry a job from its page."""
    check_form_token(request.form.get(FORM_FIELD))
    ACTIONS[action](current_services(), job_id)
    return redirect(url_for("job_pages.show", job_id=job_id), 303)
