"""/api/v1/jobs: submit, list, show and delete."""

from __future__ import annotations

from flask import Blueprint, Response, request, url_for
from werkzeug.exceptions import UnsupportedMediaType

from faces_jobs.jobs.documents import JobDocument, JobPage
from faces_jobs.results import get_job, job_version, list_jobs
from faces_jobs.retention import REQUEST_PATIENCE_SECONDS, delete_job
from faces_jobs_web.api.answers import document_response
from faces_jobs_web.api.json_body import json_body
from faces_jobs_web.api.queries import JobFilters, WaitFilters, read_filters
from faces_jobs_web.disconnect import disconnect_check
from faces_jobs_web.operations import JSON, Operation, ResponseSpec, describes
from faces_jobs_web.services import current_services
from faces_jobs_web.submission import (
    KEY_HEADER,
    OWNER_HEADER,
    FolderSubmission,
    OptionsInput,
    check_may_submit,
    header_text,
    read_folder_submission,
    submit_named_folder,
    submit_upload,
)
from faces_jobs_web.uploads import FILES_FIELD, receive_upload

blueprint = Blueprint("jobs", __name__, url_prefix="/api/v1/jobs")

REPLAY_HEADER = "Idempotent-Replay"
_HEADERS = {
    "Location": "URL of the job.",
    REPLAY_HEADER: "`true` if the key was used before and the first job is returned.",
}


def upload_schema() -> dict[str, object]:
    """Return the JSON schema of a multipart submission: files, and options as form fields."""
    options = OptionsInput.model_json_schema()["properties"]
    return {
        "type": "object",
        "required": [FILES_FIELD],
        "properties": {
            FILES_FIELD: {
                "type": "array",
                "items": {"type": "string", "contentMediaType": "application/octet-stream"},
                "description": "One or more files. Names may contain folders: `holiday/a.jpg`.",
            },
            **options,
        },
    }


@blueprint.post("")
@describes(
    Operation(
        tag="jobs",
        bodies={"multipart/form-data": upload_schema(), JSON: FolderSubmission},
        request_headers={
            KEY_HEADER: "1 to 255 printable characters. Repeating a submission with the same key "
            "returns the first job; a different submission with that key is refused.",
            OWNER_HEADER: "Owner of the job, up to 128 characters, in UTF-8. Owners take turns. "
            "Jobs without this header share one owner.",
        },
        responses={
            201: ResponseSpec("The job.", JobDocument, headers=_HEADERS),
            200: ResponseSpec(
                "The job that was created with this key before.", JobDocument, headers=_HEADERS
            ),
        },
        problems=(403, 408, 409, 413, 415, 422, 429, 507),
    )
)
def create() -> Response:
    """Submit files, or a folder on the server.

    Files are recognised by content, not by name. A file that can't be processed becomes the error
    of its item, as long as at least one other file can. A JSON body names a folder below one of
    the server's roots.
    """
    services = current_services()
    key = header_text(KEY_HEADER)
    owner = header_text(OWNER_HEADER) or ""
    if request.mimetype == "multipart/form-data":
        with receive_upload(
            request,
            storage=services.storage,
            settings=services.settings,
            check=lambda: check_may_submit(services, key, owner),
        ) as upload:
            submitted = submit_upload(upload, upload.options(), services, key, owner=owner)
    elif request.is_json:
        root, path, spec = read_folder_submission(json_body())
        submitted = submit_named_folder(root, path, spec, services, key, owner=owner)
    else:
        raise UnsupportedMediaType(
            "Send files as multipart/form-data, or a folder's name as application/json."
        )
    headers = {"Location": url_for("jobs.show", job_id=submitted.job_id)}
    if submitted.replayed:
        headers[REPLAY_HEADER] = "true"
    job = get_job(services.database, submitted.job_id)
    return document_response(job, 200 if submitted.replayed else 201, headers)


@blueprint.get("")
@describes(
    Operation(
        tag="jobs",
        query=JobFilters,
        responses={200: ResponseSpec("Jobs, newest first.", JobPage)},
        problems=(422,),
    )
)
def index() -> Response:
    """List jobs, newest first."""
    filters = read_filters(JobFilters, request.args)
    return document_response(
        list_jobs(
            current_services().database,
            status=filters.status,
            label=filters.label,
            cursor=filters.cursor,
            limit=filters.limit,
        )
    )


@blueprint.get("/<job_id>")
@describes(
    Operation(
        tag="jobs",
        query=WaitFilters,
        request_headers={
            "If-None-Match": "The ETag of the last response. If nothing has changed the response "
            "is a 304: at once or, with `wait`, when the time is over."
        },
        responses={
            200: ResponseSpec(
                "The job.", JobDocument, headers={"ETag": "Changes when the job does."}
            ),
            304: ResponseSpec("Nothing has changed since the ETag in If-None-Match."),
        },
        problems=(404, 422),
    )
)
def show(job_id: str) -> Response:
    """Show a job: state, progress, and estimated time left.

    Suited to polling: send the last response's ETag in If-None-Match. With `wait` the response
    comes as soon as something has changed (a long poll). The ETag does not change when only the
    rate and the time left do.
    """
    services = current_services()
    wait = read_filters(WaitFilters, request.args).wait
    job = get_job(services.database, job_id)
    if wait and request.if_none_match.contains_weak(version := job_version(job)):
        services.watcher.acquire_slot()
        try:
            has_disconnected = disconnect_check(request.environ)
            job = (
                services.watcher.wait_for_change(
                    job_id, version, seconds=wait, has_disconnected=has_disconnected
                )
                or job
            )
        finally:
            services.watcher.release_slot()
    return document_response(job, version=job_version(job))


@blueprint.delete("/<job_id>")
@describes(
    Operation(
        tag="jobs",
        responses={
            204: ResponseSpec("The job and all its files were deleted, which was verified."),
            202: ResponseSpec(
                "The job was deleted, but some of its files or rows remain (a worker still uses "
                "them, they can't be removed, or there are very many). Their removal goes on; "
                "`GET /api/v1/audit` shows the outcome."
            ),
        },
        problems=(403, 404),
    )
)
def delete(job_id: str) -> Response:
    """Delete a job with its uploads and results. A running job is cancelled first."""
    services = current_services()
    complete = delete_job(
        job_id,
        database=services.database,
        storage=services.storage,
        patience_seconds=REQUEST_PATIENCE_SECONDS,
    )
    return Response(status=204 if complete else 202)
