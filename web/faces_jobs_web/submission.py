"""A request becomes a job: the part that the API and the pages share."""

from __future__ import annotations

from typing import Any

from flask import request
from pydantic import BaseModel, ConfigDict, Field, create_model
from werkzeug.exceptions import BadRequest

from faces_jobs.db.limits import check_queue
from faces_jobs.errors import OptionsError
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.submit import (
    Submitted,
    checked_owner,
    has_key,
    submit_files,
    submit_folder,
)
from faces_jobs_web.services import Services
from faces_jobs_web.uploads import Upload

KEY_HEADER = "Idempotency-Key"
OWNER_HEADER = "Faces-Owner"

_MODELS_FIELD = Field(
    default=None,
    description='In place of the three: names, or "1,0,1" for gender, expression, multiple.',
)
_OPTION_FIELDS: dict[str, Any] = {
    **{name: (field.annotation, field) for name, field in JobSpec.model_fields.items()},
    "models": (str | list[str] | dict[str, bool] | None, _MODELS_FIELD),
}
# The same fields as a spec has, and the short form that stands for three of them. It describes
# what may be sent; `JobSpec` itself reads it.
OptionsInput = create_model(
    "OptionsInput", __doc__="A job's options as they may be sent.", **_OPTION_FIELDS
)


class FolderSubmission(BaseModel):
    """A folder below one of the server's roots."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: str = Field(description="Name of a root, as `GET /api/v1/roots` lists them.")
    path: str = Field(default="", description="Folder or file below the root, with '/' between.")
    options: OptionsInput = Field(default_factory=OptionsInput)  # type: ignore[valid-type]  # made above


def header_text(name: str) -> str | None:
    """A header that people fill in; None: it was not sent.

    Raises:
        BadRequest: it is not in UTF-8.
    """
    sent = request.headers.get(name)
    try:
        # WSGI hands on bytes as if they were Latin-1.
        return None if sent is None else sent.encode("latin-1").decode("utf-8")
    except UnicodeError as error:
        raise BadRequest(f"The header {name} is not in UTF-8.") from error


def check_may_submit(services: Services, key: str | None, owner: str = "") -> None:
    """See whether the queue takes any more, before a body is read.

    Raises:
        QueueFullError: it does not, and the key is not of a submission that was accepted before.
    """
    if not has_key(services.database, key):
        check_queue(services.database, services.settings, checked_owner(owner))


def submit_upload(
    upload: Upload, options: dict[str, str], services: Services, key: str | None, *, owner: str = ""
) -> Submitted:
    """Make a job of uploaded files.

    Raises:
        SubmissionError, MediaError: see `submit_files`.
    """
    return submit_files(
        upload.files,
        JobSpec.parse_text(options),
        database=services.database,
        storage=services.storage,
        queue=services.queue,
        settings=services.settings,
        idempotency_key=key,
        owner=owner,
    )


def submit_named_folder(
    root: str, path: str, spec: JobSpec, services: Services, key: str | None, *, owner: str = ""
) -> Submitted:
    """Make a job of a server folder.

    Raises:
        SubmissionError: see `submit_folder`.
    """
    return submit_folder(
        root,
        path,
        spec,
        database=services.database,
        storage=services.storage,
        queue=services.queue,
        settings=services.settings,
        idempotency_key=key,
        owner=owner,
    )


def read_folder_submission(body: Any) -> tuple[str, str, JobSpec]:
    """Root, path and options of a JSON body.

    Raises:
        OptionsError: a member is unknown, missing or of a wrong type, or an option is.
    """
    if not isinstance(body, dict):
        raise OptionsError({"body": "must be a JSON object with root, path and options"})
    known = FolderSubmission.model_fields
    wrong = {name: f"unknown; known are {', '.join(known)}" for name in body if name not in known}
    root, path, options = body.get("root"), body.get("path", ""), body.get("options", {})
    if not isinstance(root, str):
        wrong["root"] = "must name one of the server's roots"
    if not isinstance(path, str):
        wrong["path"] = "must be text"
    if not isinstance(options, dict):
        wrong["options"] = "must be an object"
    if wrong:
        raise OptionsError(wrong)
    return str(root), str(path), JobSpec.parse(options)
