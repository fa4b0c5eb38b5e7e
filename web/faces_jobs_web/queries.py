"""Query parameters: what may be asked, read strictly (an unknown name is an error, not ignored).

A parameter that takes several values is repeated or comma separated: `pose=left&pose=right` is
`pose=left,right`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model
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
from faces_jobs_web.row_numbers import Count, RowNumber

FiltersType = TypeVar("FiltersType", bound=BaseModel)
Milliseconds = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


def _storable(text: str) -> str:
    # PostgreSQL takes none. Half a character (a lone surrogate) can't come in an address.
    if "\0" in text:
        raise ValueError("must not hold NUL characters")
    return text


Text = Annotated[str, AfterValidator(_storable)]


class NoFilters(BaseModel):
    """No parameter at all."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class WaitFilters(NoFilters):
    """Whether to wait for a change."""

    wait: float = Field(
        default=0.0,
        ge=0,
        le=60,
        description="Wait so many seconds for a change, where If-None-Match names what is there.",
    )


class PageFilters(NoFilters):
    """Which part of a list."""

    cursor: Text | None = Field(
        default=None, description="`next_cursor` of the page before; none for the first page."
    )
    limit: int = Field(
        default=DEFAULT_PAGE_SIZE, ge=1, le=MAX_PAGE_SIZE, description="Most rows a page."
    )


class JobFilters(PageFilters):
    """Which jobs."""

    status: JobStatus | None = Field(default=None, description="Jobs in this state.")
    label: Text | None = Field(default=None, description="Jobs whose label contains this text.")


class ItemFilters(PageFilters):
    """Which items."""

    status: ItemStatus | None = Field(default=None, description="Items in this state.")


class AuditFilters(PageFilters):
    """Which deletions."""

    job: Text | None = Field(default=None, description="Of the job with this id.")


class ArtifactFilters(PageFilters):
    """Which artifacts."""

    item: RowNumber | None = Field(default=None, description="Of the item with this id.")
    kind: Text | None = Field(default=None, description="Of this kind, such as `faces_csv`.")


class MomentFilters(NoFilters):
    """Which moment of an item."""

    at: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="Seconds from its start at which its video is shown first."
    )


class DownloadFilters(NoFilters):
    """How an artifact is served."""

    inline: bool = Field(
        default=False,
        description="Serve an annotated copy or thumbnail for showing instead of saving.",
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
            list[Literal[labels]],  # type: ignore[valid-type]  # the labels are a table's, not typed out
            Field(default_factory=list, description=f"With one of these for {head}."),
        )
        for bound, which in (("min", "Lowest"), ("max", "Highest")):
            fields[f"{head}_{bound}_probability"] = (
                Fraction | None,
                Field(default=None, description=f"{which} probability of the {head} label."),
            )
    return fields


TrackFilters = create_model(
    "TrackFilters", __base__=_TrackRange, __doc__="Which tracks of a job.", **_attribute_fields()
)
FaceFilters = create_model(
    "FaceFilters", __base__=_FaceRange, __doc__="Which faces.", **_attribute_fields()
)


def read_filters(model: type[FiltersType], arguments: MultiDict[str, str]) -> FiltersType:
    """The query parameters of a request as a model.

    Raises:
        OptionsError: a parameter is unknown, given twice, mistyped or out of range.
    """
    values: dict[str, object] = {}
    wrong: dict[str, str] = {}
    for name, texts in arguments.lists():
        field = model.model_fields.get(name)
        if field is None:
            wrong[name] = f"unknown; known are {', '.join(model.model_fields) or 'none'}"
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
    """The parameters that hold something: a page's form sends every field, also the empty."""
    return MultiDict((name, text) for name, text in arguments.items(multi=True) if text.strip())


def face_query(filters: BaseModel, job_id: str | None) -> FaceQuery:
    """`FaceFilters` as the query that the results understand."""
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
    """`TrackFilters` as the query that the results understand."""
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
        one = AttributeFilter(
            labels=tuple(dict.fromkeys(values[head])),
            min_probability=values[f"{head}_min_probability"],
            max_probability=values[f"{head}_max_probability"],
        )
        if one != AttributeFilter():
            attributes[head] = one
    return attributes
