"""The front page: submit files or a server folder, and see the newest jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from faces_jobs.errors import FacesJobsError, OptionsError, SubmissionError
from faces_jobs.jobs.spec import ADAPTIVE, DETECT_EVERY, JobSpec
from faces_jobs.results import list_jobs
from faces_jobs.submit import Submitted
from faces_jobs_web.errors import problem_of, retry_after_header
from faces_jobs_web.guard import FORM_FIELD, check_form_token
from faces_jobs_web.jobs import upload_schema
from faces_jobs_web.operations import HTML, Operation, ResponseSpec, describes, page
from faces_jobs_web.services import Services, current_services
from faces_jobs_web.submission import check_may_submit, submit_named_folder, submit_upload
from faces_jobs_web.uploads import Upload, receive_upload

blueprint = Blueprint("submit_page", __name__)

RECENT_JOBS = 8
TOLD_BESIDE = "Some options can't be used: what is wrong stands beside them."
ROOT_FIELD = "server_root"
PATH_FIELD = "server_path"
# A hidden field says that a page's form is whole: its unticked boxes send nothing, but mean off.
SWITCHES = ("gender", "expression", "multiple", "annotated")
SWITCH_TEXTS = {
    "gender": ("Gender", "Female or male"),
    "expression": ("Expression", "Anger to surprise, seven kinds"),
    "multiple": ("Appearance", "Age, pose, light, makeup, what covers the face"),
    "annotated": ("Annotated copy", "A video or image with boxes and labels drawn in"),
}
NUMBER_TEXTS = {
    "detection_threshold": ("Detection threshold", "Lowest score that counts as a face", 0.01),
    "smallest_face": ("Smallest face", "Shorter side in pixels", 1),
    "frame_stride": ("Every n-th frame", "1 analyses all frames", 1),
    "max_fps": ("Most frames a second", "Empty: all of them", 0.1),
}
CHOICES: dict[str, tuple[str, str, dict[str, str]]] = {
    "detect_every": (
        "Detect faces in",
        "Adaptive: more where they move",
        {
            "1": "all frames",
            **{every: f"1 in {every}" for every in DETECT_EVERY if every not in ("1", ADAPTIVE)},
            ADAPTIVE: "adaptive",
        },
    ),
    "classify": (
        "Judge faces",
        "Unchanged ones go by those around",
        {"every": "all", "auto": "where they change"},
    ),
}


_TOLD_BESIDE = frozenset({"label", "unsure_below", *NUMBER_TEXTS, *CHOICES})


@dataclass(frozen=True, slots=True)
class NumberField:
    """A number of the options' form, with the bounds that the options themselves have."""

    name: str
    title: str
    hint: str
    step: float
    lowest: float | None
    highest: float | None
    value: str


@dataclass(frozen=True, slots=True)
class ChoiceField:
    """A choice of the options' form: what is sent, and the words for it."""

    name: str
    title: str
    hint: str
    texts: dict[str, str]
    value: str


@blueprint.get("/")
@describes(Operation(tag="pages", responses=page("The form and the newest jobs.")))
def show() -> str:
    """Show the form to submit files, and the newest jobs."""
    return _render(current_services(), {})


@blueprint.post("/")
@describes(
    Operation(
        tag="pages",
        bodies={"multipart/form-data": upload_schema()},
        responses={
            303: ResponseSpec("Submitted: on to the job's page."),
            422: ResponseSpec("The form again, with what is wrong.", media_types=(HTML,)),
        },
    )
)
def submit() -> AnyResponse:
    """Submit the form without JavaScript."""
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
        wrong = error.fields if isinstance(error, OptionsError) else {}
        beside = wrong and wrong.keys() <= _TOLD_BESIDE
        message = TOLD_BESIDE if beside else problem.detail
        form = _render(services, fields, message=message, wrong=wrong)
        return Response(form, problem.status, retry_after_header(problem.status))
    return redirect(url_for("job_pages.show", job_id=submitted.job_id), 303)


def _submit(upload: Upload, fields: dict[str, str], services: Services) -> Submitted:
    root, path = fields.get(ROOT_FIELD, ""), fields.get(PATH_FIELD, "")
    options = {name: text for name, text in fields.items() if name not in (ROOT_FIELD, PATH_FIELD)}
    if root and upload.files:
        raise SubmissionError("Choose files, or a folder on the server: one of the two a job.")
    if path.strip() and not root:
        raise SubmissionError(f"Choose the root below which {path.strip()} is on the server.")
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
    wrong: dict[str, str] | None = None,
) -> str:
    recent = list_jobs(services.database, status=None, label=None, cursor=None, limit=RECENT_JOBS)
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
        wrong=wrong or {},
        settings=services.settings,
        told_beside=TOLD_BESIDE,
    )


def _number(name: str, fields: dict[str, str]) -> NumberField:
    title, hint, step = NUMBER_TEXTS[name]
    schema: dict[str, Any] = JobSpec.model_json_schema()["properties"][name]
    bounds = next(
        (part for part in schema.get("anyOf", []) if part.get("type") == "number"), schema
    )
    default = schema.get("default")
    return NumberField(
        name=name,
        title=title,
        hint=hint,
        step=step,
        lowest=bounds.get("minimum", step if "exclusiveMinimum" in bounds else None),
        highest=bounds.get("maximum"),
        value=fields.get(name, "" if default is None else str(default)),
    )


def _choice(name: str, fields: dict[str, str]) -> ChoiceField:
    title, hint, texts = CHOICES[name]
    value = fields.get(name, JobSpec.model_fields[name].default)
    return ChoiceField(name, title, hint, texts, value)
