"""`JobSpec`: a job's options, validated in one place for web form, API, command line and worker."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from faces_jobs.errors import OptionsError
from faces_jobs.jobs.labels import HEADS, MODELS
from faces_jobs.jobs.unsure import parse_unsure_below
from faces_jobs.jobs.webhook_url import split_webhook_url

MAX_TEXT_CHARACTERS = 1024
DEFAULT_DETECTION_SIZE = 640
STILL_DETECTION_SIZE = 1280

# They control a terminal, end a line, reverse the text around a label, or can't be stored (NUL).
_CONTROL_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

Priority = Literal["low", "normal", "high"]
# Lower ranks come first; the rank is what is stored and sorted by.
PRIORITY_RANKS: dict[Priority, int] = {"high": 0, "normal": 1, "low": 2}

ADAPTIVE = "adaptive"
MAX_DETECT_EVERY = 10
DETECT_EVERY = (*(str(count) for count in range(1, MAX_DETECT_EVERY + 1)), ADAPTIVE)
Classify = Literal["every", "auto"]


class JobSpec(BaseModel):
    """The options of a job. Frozen; stored as JSON in the job's row."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    gender: bool = Field(default=True, description="Run the gender model.")
    expression: bool = Field(default=True, description="Run the expression model.")
    multiple: bool = Field(
        default=True,
        description="Run the multiple model: illumination, pose, occlusion, age, makeup.",
    )
    detection_threshold: float = Field(
        default=0.5,
        ge=0.05,
        le=0.99,
        description="Lowest detector score at which a box counts as a face.",
    )
    detection_size: int | None = Field(
        default=None,
        ge=160,
        le=2560,
        description="Faces are searched for in pictures scaled down to 640 pixels on the longer "
        "side and, to find smaller ones, again in pictures scaled down to this many. Time grows "
        f"with its square. Without it: {DEFAULT_DETECTION_SIZE} in videos, {STILL_DETECTION_SIZE} "
        "in images.",
    )
    unsure_below: str = Field(
        default="",
        max_length=MAX_TEXT_CHARACTERS,
        description="Attributes less probable than this are `unsure`: `0.5`, `off`, or by model "
        "or head: `gender=0.7,multiple=0.5,age=0.4`. The setting applies to heads not named.",
    )
    smallest_face: int = Field(
        default=16,
        ge=4,
        le=4096,
        description="Boxes whose shorter side has fewer pixels than this are left out.",
    )
    frame_stride: int = Field(
        default=1, ge=1, le=10_000, description="Analyse every n-th frame of a video."
    )
    max_fps: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="Analyse at most this many frames per second of video (by timestamps).",
    )
    detect_every: str = Field(
        default="1",
        description="Detect faces in every n-th analysed frame, 1 to 10, and interpolate the boxes "
        "in between; `adaptive`: detect wherever faces appear, disappear or move fast.",
        json_schema_extra={"enum": list(DETECT_EVERY)},
    )
    classify: Classify = Field(
        default="every",
        description="`every`: the models classify each face of each analysed frame; `auto`: they "
        "skip faces classified the same before and after that hardly change in between.",
    )
    annotated: bool = Field(
        default=True, description="Also make an annotated copy of each image or video."
    )
    priority: Priority = Field(
        default="normal",
        description="Jobs of a higher priority are processed first: `low`, `normal` or `high`.",
    )
    label: str = Field(
        default="",
        max_length=MAX_TEXT_CHARACTERS,
        description="Free text to find the job by.",
    )
    keep_days: float | None = Field(
        default=None,
        gt=0,
        le=36_500,
        description="Delete the job, its uploads and results this many days after it ends. The "
        "server's setting applies to jobs without it.",
    )
    webhook: str = Field(
        default="", description="URL that receives a signed POST each time the job ends."
    )

    @field_validator("unsure_below", mode="before")
    @classmethod
    def _accept_number(cls, value: object) -> object:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return str(value) if is_number else value

    @field_validator("unsure_below")
    @classmethod
    def _check_unsure_below(cls, value: str) -> str:
        parse_unsure_below(value)
        return value.strip()

    @field_validator("detect_every", mode="before")
    @classmethod
    def _accept_integer(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("detect_every")
    @classmethod
    def _check_detect_every(cls, value: str) -> str:
        if value.strip() not in DETECT_EVERY:
            raise ValueError(f"must be a whole number from 1 to {MAX_DETECT_EVERY}, or {ADAPTIVE}")
        return value.strip()

    @field_validator("label")
    @classmethod
    def _strip_label(cls, label: str) -> str:
        return label.strip()

    @field_validator("webhook")
    @classmethod
    def _check_webhook(cls, webhook: str) -> str:
        if webhook.strip():
            split_webhook_url(webhook.strip())
        return webhook.strip()

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Self:
        """Validate options given as typed values (from JSON).

        `models` is accepted as a short form: a mapping {"gender": true, ...}, a list of names,
        or "1,0,1" (gender, expression, multiple).

        Raises:
            OptionsError: an option is unknown, of the wrong type or out of range.
        """
        return cls._validated(options, strict=True)

    @classmethod
    def parse_text(cls, options: Mapping[str, str]) -> Self:
        """Validate options given as text (form fields, command line): "0.5", "true", "1,0,1".

        An empty text means the default.

        Raises:
            OptionsError: an option is unknown, of the wrong type or out of range.
        """
        given = {name: value for name, value in options.items() if value.strip()}
        if "label" in options:
            given["label"] = options["label"]
        return cls._validated(given, strict=False)

    @classmethod
    def _validated(cls, options: Mapping[str, Any], *, strict: bool) -> Self:
        values = dict(options)
        if "models" in values:
            switches = parse_models(values.pop("models"))
            duplicates = {
                name: "given twice, on its own and in models" for name in switches if name in values
            }
            if duplicates:
                raise OptionsError(duplicates)
            values.update(switches)
        # Not checked by a validator of the model: jobs stored by earlier versions must load.
        if any(map(_is_control_character, str(values.get("label", "")))):
            raise OptionsError({"label": "must not contain control characters"})
        try:
            return cls.model_validate(values, strict=strict)
        except ValidationError as error:
            raise OptionsError(_reasons(error)) from error

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models that are switched on, in the order of `MODELS`."""
        return tuple(name for name in MODELS if getattr(self, name))

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of the heads that are switched on, in the order of `HEADS`."""
        enabled = {head for model in self.models for head in MODELS[model]}
        return tuple(head for head in HEADS if head in enabled)


def parse_models(value: object) -> dict[str, bool]:
    """Parse the short forms of the option `models`: mapping, list of names, or "1,0,1".

    Raises:
        OptionsError: the value has none of these forms, or names an unknown model.
    """
    names = tuple(MODELS)
    match value:
        case dict():
            if set(value) <= set(names) and all(isinstance(on, bool) for on in value.values()):
                return {name: value.get(name, True) for name in names}
        case list() | tuple():
            if all(isinstance(name, str) for name in value) and set(value) <= set(names):
                return {name: name in value for name in names}
        case str():
            parts = [part.strip() for part in value.split(",")]
            if len(parts) == len(names) and set(parts) <= {"0", "1"}:
                return {name: part == "1" for name, part in zip(names, parts, strict=True)}
            if parts != [""] and set(parts) <= set(names):
                return {name: name in parts for name in names}
        case _:
            pass
    raise OptionsError(
        {"models": f'write "1,0,1" ({", ".join(names)}: 1 on, 0 off) or names from that list'}
    )


def _is_control_character(character: str) -> bool:
    return character in _BIDI_CONTROLS or unicodedata.category(character) in _CONTROL_CATEGORIES


def _reasons(error: ValidationError) -> dict[str, str]:
    """Return what is wrong with each option, by its name."""
    reasons = {}
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(str(part) for part in problem["loc"]) or "options"
        known = ", ".join([*JobSpec.model_fields, "models"])
        reasons[name] = (
            f"unknown; known are {known}"
            if problem["type"] == "extra_forbidden"
            else problem["msg"].removeprefix("Value error, ")
        )
    return reasons
