"""The filters of a page's list: as fields of its form, or as chips that can be removed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import url_for
from werkzeug.datastructures import MultiDict

from faces_jobs.db.session import Database
from faces_jobs.errors import NotFoundError, OptionsError
from faces_jobs.jobs.documents import FacePage, JobDocument, TrackPage
from faces_jobs.jobs.labels import HEADS
from faces_jobs.results import get_item, list_faces, list_tracks
from faces_jobs.results.pages import MAX_INTEGER
from faces_jobs_web.api.queries import (
    FaceFilters,
    TrackFilters,
    face_query,
    read_filters,
    track_query,
)

Parameters = Mapping[str, Sequence[str]]
"""The query parameters of a request, each with all of its values."""

PAGING_PARAMETERS = frozenset({"cursor", "limit"})
FACES_ENDPOINT = "job_pages.faces"
TRACKS_ENDPOINT = "job_pages.tracks"
# The form filters by seconds, the API by milliseconds.
_MILLISECONDS = {"from_seconds": "min_time_ms", "to_seconds": "max_time_ms"}


@dataclass(frozen=True, slots=True)
class NumberFilter:
    """A number field of a form of filters."""

    name: str
    title: str
    step: str
    maximum: str | None = None


_PROBABILITY = NumberFilter("min_probability", "Min. probability", "0.01", "1")
_TIMES = (
    NumberFilter("from_seconds", "From, seconds", "any"),
    NumberFilter("to_seconds", "To, seconds", "any"),
)
TRACK_NUMBERS = (_PROBABILITY, *_TIMES)
FACE_NUMBERS = (
    _PROBABILITY,
    NumberFilter("track", "Track", "1"),
    NumberFilter("min_score", "Min. score", "0.01", "1"),
    *_TIMES,
)


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that came from a link and has no field in a form."""

    name: str
    values: tuple[str, ...]
    text: str
    without_url: str  # the list without this filter


@dataclass(frozen=True, slots=True)
class FilterForm:
    """The form above a list of faces or tracks: an attribute per head, numbers, and chips."""

    url: str  # of the list without filters
    heads: tuple[str, ...]
    numbers: tuple[NumberFilter, ...]
    parameters: Parameters
    chips: list[Chip]
    errors: Mapping[str, str]  # by title of the field


def faces_context(
    database: Database, job: JobDocument, arguments: MultiDict[str, str]
) -> dict[str, Any]:
    """Return the template context of the table of faces, including errors in the filters."""
    parameters = arguments.to_dict(flat=False)
    errors: dict[str, str] = {}
    page = FacePage(faces=[], next_cursor=None)
    try:
        filters = read_filters(FaceFilters, _to_api_parameters(arguments))
        page = list_faces(database, face_query(filters, job.id))
    except OptionsError as error:
        errors = error.fields
    list_url = url_for(FACES_ENDPOINT, job_id=job.id)
    has_cursor = "cursor" in parameters
    return {
        "faces": page.faces,
        "faces_next_url": next_page_url(list_url, parameters, page.next_cursor),
        "faces_first_url": _url(list_url, parameters, PAGING_PARAMETERS) if has_cursor else None,
        "faces_form": _form(database, job, list_url, FACE_NUMBERS, parameters, errors=errors),
    }


def tracks_context(
    database: Database, job: JobDocument, arguments: MultiDict[str, str]
) -> dict[str, Any]:
    """Return the template context of the list of tracks, including errors in the filters."""
    parameters = arguments.to_dict(flat=False)
    errors: dict[str, str] = {}
    page = TrackPage(tracks=[], next_cursor=None)
    try:
        filters = read_filters(TrackFilters, _to_api_parameters(arguments))
        page = list_tracks(database, track_query(filters, job.id))
    except OptionsError as error:
        errors = error.fields
    list_url = url_for(TRACKS_ENDPOINT, job_id=job.id)
    return {
        "tracks": page.tracks,
        "next_url": next_page_url(list_url, parameters, page.next_cursor),
        "tracks_form": _form(database, job, list_url, TRACK_NUMBERS, parameters, errors=errors),
    }


def _form(
    database: Database,
    job: JobDocument,
    list_url: str,
    numbers: tuple[NumberFilter, ...],
    parameters: Parameters,
    *,
    errors: Mapping[str, str],
) -> FilterForm:
    in_form = {*job.options.heads, *(number.name for number in numbers)}
    return FilterForm(
        url=list_url,
        heads=tuple(job.options.heads),
        numbers=numbers,
        parameters=parameters,
        chips=filter_chips(database, job.id, list_url, parameters, exclude=in_form),
        errors={_title(name): reason for name, reason in errors.items()},
    )


def filter_chips(
    database: Database,
    job_id: str,
    list_url: str,
    parameters: Parameters,
    *,
    exclude: Collection[str],
) -> list[Chip]:
    """Return a chip for each filter, except for those in `exclude`, which a form shows."""
    return [
        Chip(
            name=name,
            values=tuple(values),
            text=_chip_text(database, job_id, name, values),
            without_url=_url(list_url, parameters, {name, *PAGING_PARAMETERS}),
        )
        for name, values in parameters.items()
        if name not in PAGING_PARAMETERS and name not in exclude
    ]


def next_page_url(list_url: str, parameters: Parameters, cursor: str | None) -> str | None:
    """Return the URL of the next page with the same filters, or None on the last page."""
    if cursor is None:
        return None
    return _url(list_url, {**parameters, "cursor": [cursor]}, ())


def _url(list_url: str, parameters: Parameters, exclude: Collection[str]) -> str:
    # Not `url_for`: it gives some parameter names, such as `_external`, a meaning of its own.
    kept = {name: values for name, values in parameters.items() if name not in exclude}
    return f"{list_url}?{urlencode(kept, doseq=True)}" if kept else list_url


def _chip_text(database: Database, job_id: str, name: str, values: Sequence[str]) -> str:
    if name == "item" and len(values) == 1 and values[0].isdecimal():
        with suppress(NotFoundError, ValueError):  # int() refuses more than 4,300 digits
            return f"only {get_item(database, job_id, min(int(values[0]), MAX_INTEGER)).name}"
    return f"{name.replace('_', ' ')} {' or '.join(values)}"


def _title(name: str) -> str:
    """Return the title that the form shows for a parameter of the API."""
    titles = {number.name: number.title for number in FACE_NUMBERS}
    titles |= {api_name: titles[form_name] for form_name, api_name in _MILLISECONDS.items()}
    titles |= {f"{head}_min_probability": titles["min_probability"] for head in HEADS}
    return titles.get(name, name.replace("_", " ").capitalize())


def _to_api_parameters(arguments: MultiDict[str, str]) -> MultiDict[str, str]:
    """Translate the form's parameters to those of the API.

    Seconds become milliseconds, and the form's single minimum probability applies to each
    attribute that is filtered by.
    """
    heads = [head for head in HEADS if head in arguments]
    parameters: MultiDict[str, str] = MultiDict()
    for name, text in arguments.items(multi=True):
        if name in _MILLISECONDS:
            try:
                parameters.add(_MILLISECONDS[name], str(float(text) * 1000))
            except ValueError as error:
                raise OptionsError({name: "must be a number of seconds"}) from error
        elif name == "min_probability":
            if not heads:
                raise OptionsError({name: "choose an attribute above"})
            parameters.update({f"{head}_min_probability": text for head in heads})
        else:
            parameters.add(name, text)
    return parameters
