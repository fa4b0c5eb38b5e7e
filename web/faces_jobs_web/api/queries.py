"""Models of query parameters, and their parsing. Unknown parameters are errors, not ignored.

Multiple values of a parameter are repeated or comma-separated: `pose=left&pose=right` is the same
as `pose=left,right`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    create_model,
    field_validator,
)
from werkzeug.datastructures import MultiDict

from faces_jobs.errors import OptionsError
from faces_jobs.jobs.labels import HEADS, LABELS_WITH_UNSURE
from faces_jobs.jobs.query import (
    DEFAULT_PAGE_SIZE,
    MAX_PAGE_SIZE,
    AttributeFilter,
    FaceQuery,
    TrackQuery,
)
from faces_jobs.jobs.status import ItemStatus, JobStatus
from faces_jobs_web.api.row_numbers import Count, RowNumber

FiltersType = TypeVar("FiltersType", bound=BaseModel)
Milliseconds = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


def _without_nul(text: str) -> str:
    # PostgreSQL can't store NUL. Lone surrogates, the other such case, can't occur in a URL.
    if "\0" in text:
        raise ValueError("must not contain NUL characters")
    return text


Text = Annotated[str, AfterValidator(_without_nul)]


class Filters(BaseModel):
    """Base of the query parameter models."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="wrap")
    @classmethod
    def _plain_number(cls, text: object, parse: ValidatorFunctionWrapHandler) -> object:
        value = parse(text)
        # Pydantic reads numbers as Python does.
        if isinstance(value, int | float) and "_" in str(text):
            raise ValueError("must be a number without underscores")
        return value


class WaitFilters(Filters):
    """How long to wait for a change."""

    wait: float = Field(
        default=0.0,
        ge=0,
        le=60,
        description="Wait up to this many seconds for a change, if If-None-Match is current.",
    )


class PageFilters(Filters):
    """Which page of a list."""

    cursor: Text | None = Field(
        default=None, description="`next_cursor` of the previous page; omitted for the first page."
    )
    limit: int = Field(
        default=DEFAULT_PAGE_SIZE,
        ge=1,
        le=MAX_PAGE_SIZE,
        description="Maximum number of rows per page.",
    )


class JobFilters(PageFilters):
    """Which jobs."""

    status: JobStatus | None = Field(default=None, description="Jobs in this state.")
    label: Text | None = Field(
        default=None, description="Jobs whose label contains this text, in upper or lower case."
    )


class ItemFilters(PageFilters):
    """Which items."""

    status: ItemStatus | None = Field(default=None, description="Items in this state.")


class AuditFilters(PageFilters):
    """Which deletions."""

    job: Text | None = Field(default=None, description="Of the job with this id.")


class ArchiveFilters(Filters):
    """Which artifacts are in an archive."""

    item: RowNumber | None = Field(default=None, description="Of the item with this id.")
    kind: Text | None = Field(default=None, description="Of this kind, such as `faces_csv`.")


class ArtifactFilters(PageFilters, ArchiveFilters):
    """Which artifacts."""


class MomentFilters(Filters):
    """At which time an item's video is shown."""

    at: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="Position in seconds from the start at which the video is shown."
    )


class DownloadFilters(Filters):
    """How an artifact is served."""

    inline: bool = Field(
        default=False,
        description="Display annotated copies and thumbnails in the browser instead of saving.",
    )


class _TrackRange(PageFilters):
    item: RowNumber | None = Field(default=None, description="In the item with this id.")
    min_time_ms: Milliseconds | None = Field(
        default=None, description="Seen at or after this time of the item."
    )
    max_time_ms: Milliseconds | None = Field(
        default=None, description="Seen at or before this time of the item."
    )


class _FaceRange(_TrackRange):
    track: Count | None = Field(default=None, description="Of this track of its item.")
    min_score: Fraction | None = Field(default=None, description="Lowest detector score.")


def _attribute_fields() -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for head, labels in LABELS_WITH_UNSURE.items():
        fields[head] = (
            list[Literal[labels]],  # type: ignore[valid-type]  # labels are known only at run time
            Field(default_factory=list, description=f"With one of these for {head}."),
        )
        for bound, adjective in (("min", "Lowest"), ("max", "Highest")):
            fields[f"{head}_{bound}_probability"] = (
                Fraction | None,
                Field(default=None, description=f"{adjective} probability of the {head} label."),
            )
    return fields


TrackFilters = create_model(
    "TrackFilters", __base__=_TrackRange, __doc__="Which tracks of a job.", **_attribute_fields()
)
FaceFilters = create_model(
    "FaceFilters", __base__=_FaceRange, __doc__="Which faces.", **_attribute_fields()
)


def read_filters(model: type[FiltersType], arguments: MultiDict[str, str]) -> FiltersType:
    """Parse the query parameters of a request into a model.

    Raises:
        OptionsError: a parameter is unknown, repeated, of the wrong type or out of range.
    """
    values: dict[str, object] = {}
    wrong: dict[str, str] = {}
    for name, texts in arguments.lists():
        field = model.model_fields.get(name)
        if field is None:
            wrong[name] = f"unknown; must be one of {', '.join(model.model_fields)}"
        elif get_origin(field.annotation) is list:
            values[name] = [part.strip() for text in texts for part in text.split(",")]
        elif len(texts) > 1:
            wrong[name] = "given more than once"
        else:
            values[name] = texts[0]
    try:
        filters = model.model_validate(values)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False, include_context=False):
            wrong[str(problem["loc"][0])] = problem["msg"].removeprefix("Value error, ")
        raise OptionsError(wrong) from error
    if wrong:
        raise OptionsError(wrong)
    return filters


def without_blanks(arguments: MultiDict[str, str]) -> MultiDict[str, str]:
    """Return the parameters that are not blank: browsers submit empty form fields as well."""
    return MultiDict((name, text) for name, text in arguments.items(multi=True) if text.strip())


def face_query(filters: BaseModel, job_id: str | None) -> FaceQuery:
    """Convert `FaceFilters` to a query for `results`."""
    values = filters.model_dump()
    return FaceQuery(
        job_id=job_id,
        item_id=values["item"],
        track=values["track"],
        min_time_ms=values["min_time_ms"],
        max_time_ms=values["max_time_ms"],
        min_score=values["min_score"],
        attributes=_attributes(values),
        cursor=values["cursor"],
        limit=values["limit"],
    )


def track_query(filters: BaseModel, job_id: str) -> TrackQuery:
    """Convert `TrackFilters` to a query for `results`."""
    values = filters.model_dump()
    return TrackQuery(
        job_id=job_id,
        item_id=values["item"],
        min_time_ms=values["min_time_ms"],
        max_time_ms=values["max_time_ms"],
        attributes=_attributes(values),
        cursor=values["cursor"],
        limit=values["limit"],
    )


def _attributes(values: Mapping[str, Any]) -> dict[str, AttributeFilter]:
    attributes = {}
    for head in HEADS:
        attribute = AttributeFilter(
            labels=tuple(dict.fromkeys(values[head])),
            min_probability=values[f"{head}_min_probability"],
            max_probability=values[f"{head}_max_probability"],
        )
        if attribute != AttributeFilter():
            attributes[head] = attribute
    return attributes
