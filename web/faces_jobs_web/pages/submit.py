"""The front page: a form to submit files or a server folder, and the newest jobs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from faces_jobs.errors import FacesJobsError, OptionsError, SubmissionError
from faces_jobs.jobs.spec import ADAPTIVE, DETECT_EVERY, JobSpec
from faces_jobs.results import list_jobs
from faces_jobs.submit import Submitted
from faces_jobs_web.api.jobs import upload_schema
from faces_jobs_web.errors import problem_of, retry_after_header
from faces_jobs_web.guard import FORM_FIELD, check_form_token
from faces_jobs_web.operations import HTML, Operation, ResponseSpec, describes, page
from faces_jobs_web.services import Services, current_services
from faces_jobs_web.submission import check_may_submit, submit_named_folder, submit_upload
from faces_jobs_web.uploads import Upload, receive_upload

blueprint = Blueprint("submit_page", __name__)

MAX_RECENT_JOBS = 8
INVALID_FIELDS_MESSAGE = "Some options are invalid: see the messages next to them."
ROOT_FIELD = "server_root"
PATH_FIELD = "server_path"
# Browsers send nothing for an unchecked box, so a switch that is missing from the form is off.
SWITCHES = ("gender", "expression", "multiple", "annotated")
SWITCH_TEXTS = {
    "gender": ("Gender", "Female or male"),
    "expression": ("Expression", "One of seven, such as happiness or anger"),
    "multiple": ("Appearance", "Age, pose, illumination, makeup and occlusion"),
    "annotated": ("Annotated copy", "The video or image with boxes and labels"),
}
NUMBER_TEXTS = {
    "detection_threshold": ("Detection threshold", "Minimum score that counts as a face", 0.01),
    "detection_size": (
        "Detection size",
        "Larger finds smaller faces, and takes longer. Empty: 640 in videos, 1280 in images",
        1,
    ),
    "smallest_face": ("Smallest face", "Shorter side in pixels", 1),
    "frame_stride": ("Every n-th frame", "1 analyses all frames", 1),
    "max_fps": ("Maximum frames per second", "Empty for no limit", 0.1),
}
CHOICES: dict[str, tuple[str, str, dict[str, str]]] = {
    "detect_every": (
        "Detect faces in",
        "Adaptive: more often where faces move",
        {
            "1": "all frames",
            **{every: f"1 in {every}" for every in DETECT_EVERY if every not in ("1", ADAPTIVE)},
            ADAPTIVE: "adaptive",
        },
    ),
    "classify": (
        "Classify faces",
        "Faces that don't change can be skipped",
        {"every": "in every frame", "auto": "where they change"},
    ),
}


# Fields of the form that show their own error message.
_FIELDS_WITH_MESSAGES = frozenset({"label", "unsure_below", *NUMBER_TEXTS, *CHOICES})


@dataclass(frozen=True, slots=True)
class NumberField:
    """A number field of the form, with the bounds of the job option."""

    name: str
    title: str
    hint: str
    step: float
    minimum: float | None
    maximum: float | None
    value: str


@dataclass(frozen=True, slots=True)
class ChoiceField:
    """A choice field of the form, with the text shown for each value."""

    name: str
    title: str
    hint: str
    texts: dict[str, str]
    value: str


@blueprint.get("/")
@describes(Operation(tag="pages", responses=page("The submission form and the newest jobs.")))
def show() -> str:
    """Show the submission form and the newest jobs."""
    return _render(current_services(), {})


@blueprint.post("/")
@describes(
    Operation(
        tag="pages",
        bodies={"multipart/form-data": upload_schema()},
        responses={
            303: ResponseSpec("Submitted: redirects to the job's page."),
            422: ResponseSpec("The form with error messages.", media_types=(HTML,)),
        },
    )
)
def submit() -> AnyResponse:
    """Submit the form (without JavaScript)."""
    services = current_services()
    fields: dict[str, str] = {}
    try:
        with receive_upload(
            request,
            storage=services.storage,
            settings=services.settings,
            check=lambda: check_may_submit(services, None),
        ) as upload:
            fields = upload.options()
            check_form_token(fields.pop(FORM_FIELD, None))
            submitted = _submit(upload, fields, services)
    except FacesJobsError as error:
        problem = problem_of(error)
        if problem.status >= 500:
            raise
        field_errors = error.fields if isinstance(error, OptionsError) else {}
        all_shown = field_errors and field_errors.keys() <= _FIELDS_WITH_MESSAGES
        message = INVALID_FIELDS_MESSAGE if all_shown else problem.detail
        form = _render(services, fields, message=message, field_errors=field_errors)
        return Response(form, problem.status, retry_after_header(problem.status))
    return redirect(url_for("job_pages.show", job_id=submitted.job_id), 303)


def _submit(upload: Upload, fields: dict[str, str], services: Services) -> Submitted:
    root, path = fields.get(ROOT_FIELD, ""), fields.get(PATH_FIELD, "")
    options = {name: text for name, text in fields.items() if name not in (ROOT_FIELD, PATH_FIELD)}
    if root and upload.files:
        raise SubmissionError("Choose either files or a folder on the server, not both.")
    if path.strip() and not root:
        raise SubmissionError(f"Choose the root that contains {path.strip()} on the server.")
    for name in SWITCHES:
        options[name] = "on" if name in fields else "off"
    if root:
        return submit_named_folder(root, path, JobSpec.parse_text(options), services, None)
    return submit_upload(upload, options, services, None)


def _render(
    services: Services,
    fields: dict[str, str],
    *,
    message: str | None = None,
    field_errors: dict[str, str] | None = None,
) -> str:
    recent = list_jobs(services.database, limit=MAX_RECENT_JOBS)
    return render_template(
        "submit.html",
        jobs=recent.jobs,
        more_jobs=recent.next_cursor is not None,
        roots=sorted(services.settings.roots),
        switches=[(name, *SWITCH_TEXTS[name], not fields or name in fields) for name in SWITCHES],
        numbers=[_number(name, fields) for name in NUMBER_TEXTS],
        choices=[_choice(name, fields) for name in CHOICES],
        fields=fields,
        message=message,
        field_errors=field_errors or {},
        settings=services.settings,
        invalid_fields_message=INVALID_FIELDS_MESSAGE,
    )


def _number(name: str, fields: dict[str, str]) -> NumberField:
    title, hint, step = NUMBER_TEXTS[name]
    schema = _option_schemas()[name]
    bounds = next((part for part in schema.get("anyOf", []) if part.get("type") != "null"), schema)
    default = schema.get("default")
    return NumberField(
        name=name,
        title=title,
        hint=hint,
        step=step,
        minimum=bounds.get("minimum", step if "exclusiveMinimum" in bounds else None),
        maximum=bounds.get("maximum"),
        value=fields.get(name, "" if default is None else str(default)),
    )


@cache  # making it takes as long as all else on the page
def _option_schemas() -> dict[str, dict[str, Any]]:
    schemas: dict[str, dict[str, Any]] = JobSpec.model_json_schema()["properties"]
    return schemas


def _choice(name: str, fields: dict[str, str]) -> ChoiceField:
    title, hint, texts = CHOICES[name]
    value = fields.get(name, JobSpec.model_fields[name].default)
    return ChoiceField(name, title, hint, texts, value)
