"""Turns requests into jobs, for both the API and the pages."""

from __future__ import annotations

from typing import Any

from flask import request
from pydantic import BaseModel, ConfigDict, Field, create_model
from werkzeug.exceptions import BadRequest

from faces_jobs.db.jobs.limits import check_queue
from faces_jobs.errors import OptionsError
from faces_jobs.jobs.names import checked_owner
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.submit import Submitted, has_key, submit_files, submit_folder
from faces_jobs_web.services import Services
from faces_jobs_web.uploads import Upload

KEY_HEADER = "Idempotency-Key"
OWNER_HEADER = "Faces-Owner"

_MODELS_FIELD = Field(
    default=None,
    description="Instead of `gender`, `expression` and `multiple`: names of models, or switches "
    "in that order, such as `1,0,1`.",
)
_OPTION_FIELDS: dict[str, Any] = {
    **{name: (field.annotation, field) for name, field in JobSpec.model_fields.items()},
    "models": (str | list[str] | dict[str, bool] | None, _MODELS_FIELD),
}
# The fields of `JobSpec`, plus `models`, which stands for three of them. It only documents the
# input; `JobSpec` parses it.
OptionsInput = create_model(
    "OptionsInput", __doc__="The options that a submission may contain.", **_OPTION_FIELDS
)


class FolderSubmission(BaseModel):
    """A folder below one of the server's roots."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: str = Field(description="Name of a root, one of those that `GET /api/v1/roots` lists.")
    path: str = Field(default="", description="Folder or file below the root, separated by '/'.")
    options: OptionsInput = Field(default_factory=OptionsInput)  # type: ignore[valid-type]  # created above


def header_text(name: str) -> str | None:
    """Return a request header decoded as UTF-8, or None if it was not sent.

    Raises:
        BadRequest: the header is not valid UTF-8.
    """
    value = request.headers.get(name)
    try:
        # WSGI decodes header bytes as Latin-1 (PEP 3333).
        return None if value is None else value.encode("latin-1").decode("utf-8")
    except UnicodeError as error:
        raise BadRequest(f"The header {name} is not valid UTF-8.") from error


def check_may_submit(services: Services, key: str | None, owner: str = "") -> None:
    """Check that the queue accepts another job, before the body is read.

    Raises:
        QueueFullError: the queue is full, and the key was not used for an accepted submission.
        OptionsError: the name of the owner is too long or not printable.
    """
    if not has_key(services.database, key):
        check_queue(services.database, services.settings, checked_owner(owner))


def submit_upload(
    upload: Upload, options: dict[str, str], services: Services, key: str | None, *, owner: str = ""
) -> Submitted:
    """Create a job from uploaded files.

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
    """Create a job from a server folder.

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
    """Return root, path and options from a JSON body.

    Raises:
        OptionsError: a member or an option is unknown, missing or of the wrong type.
    """
    if not isinstance(body, dict):
        raise OptionsError({"body": "must be a JSON object with root, path and options"})
    known = FolderSubmission.model_fields
    wrong = {
        name: f"unknown; must be one of {', '.join(known)}" for name in body if name not in known
    }
    root, path, options = body.get("root"), body.get("path", ""), body.get("options", {})
    if not isinstance(root, str):
        wrong["root"] = "must name one of the server's roots"
    if not isinstance(path, str):
        wrong["path"] = "must be a string"
    if not isinstance(options, dict):
        wrong["options"] = "must be an object"
    if wrong:
        raise OptionsError(wrong)
    return str(root), str(path), JobSpec.parse(options)
