"""The filters of a page's list as people see them: in its form, or each as a chip to take away."""

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
from faces_jobs.jobs.documents import FacePage, JobDocument
from faces_jobs.jobs.labels import HEADS
from faces_jobs.results import get_item, list_faces
from faces_jobs.results.pages import MAX_INTEGER
from faces_jobs_web.queries import FaceFilters, face_query, read_filters

Asked = Mapping[str, Sequence[str]]
"""The parameters of a request, each with all that was given for it."""

PLACE = frozenset({"cursor", "limit"})
FACES = "job_pages.faces"
_MILLISECONDS = {"from_seconds": "min_time_ms", "to_seconds": "max_time_ms"}


@dataclass(frozen=True, slots=True)
class NumberFilter:
    """A number of the form above the faces."""

    name: str
    title: str
    step: str
    highest: str | None = None


NUMBERS = (
    NumberFilter("min_probability", "Probability from", "0.01", "1"),
    NumberFilter("track", "Track", "1"),
    NumberFilter("min_score", "Lowest score", "0.01", "1"),
    NumberFilter("from_seconds", "From, seconds", "any"),
    NumberFilter("to_seconds", "To, seconds", "any"),
)


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that came by a link: no field of a form shows it."""

    name: str
    values: tuple[str, ...]
    text: str
    without_url: str  # the list without this filter


def faces_shown(
    database: Database, job: JobDocument, arguments: MultiDict[str, str]
) -> dict[str, Any]:
    """What the table of faces needs. What is wrong with the filters is shown beside them."""
    asked = arguments.to_dict(flat=False)
    wrong: dict[str, str] = {}
    found = FacePage(faces=[], next_cursor=None)
    try:
        filters = read_filters(FaceFilters, _as_the_api_asks(arguments))
        found = list_faces(database, face_query(filters, job.id))
    except OptionsError as error:
        wrong = {_title(name): why for name, why in error.fields.items()}
    place = url_for(FACES, job_id=job.id)
    in_form = {*job.options.heads, *(number.name for number in NUMBERS)}
    return {
        "faces": found.faces,
        "faces_next_url": next_url(place, asked, found.next_cursor),
        "faces_first_url": _address(place, asked, PLACE) if "cursor" in asked else None,
        "number_filters": NUMBERS,
        "chips": chips_of(database, job.id, place, asked, besides=in_form),
        "asked": asked,
        "wrong": wrong,
    }


def chips_of(
    database: Database, job_id: str, place: str, asked: Asked, *, besides: Collection[str] = ()
) -> list[Chip]:
    """A chip for each filter, those left out that a form shows."""
    return [
        Chip(
            name=name,
            values=tuple(values),
            text=_words(database, job_id, name, values),
            without_url=_address(place, asked, {name, *PLACE}),
        )
        for name, values in asked.items()
        if name not in PLACE and name not in besides
    ]


def next_url(place: str, asked: Asked, cursor: str | None) -> str | None:
    """Where a list goes on, with the same filters; None: nowhere."""
    if cursor is None:
        return None
    return _address(place, {**asked, "cursor": [cursor]}, ())


def _address(place: str, asked: Asked, without: Collection[str]) -> str:
    # Not by `url_for`, for which some names mean something else.
    kept = {name: values for name, values in asked.items() if name not in without}
    return f"{place}?{urlencode(kept, doseq=True)}" if kept else place


def _words(database: Database, job_id: str, name: str, values: Sequence[str]) -> str:
    if name == "item" and len(values) == 1 and values[0].isdecimal():
        with suppress(NotFoundError, ValueError):  # thousands of digits are no number
            return f"only {get_item(database, job_id, min(int(values[0]), MAX_INTEGER)).name}"
    return f"{name.replace('_', ' ')} {' or '.join(values)}"


def _title(name: str) -> str:
    """What a parameter of the API is called in the form."""
    titles = {number.name: number.title for number in NUMBERS}
    titles |= {theirs: titles[ours] for ours, theirs in _MILLISECONDS.items()}
    titles |= {f"{head}_min_probability": titles["min_probability"] for head in HEADS}
    return titles.get(name, name.replace("_", " ").capitalize())


def _as_the_api_asks(arguments: MultiDict[str, str]) -> MultiDict[str, str]:
    """What the form asks, in the API's words.

    People filter by seconds, where all that machines read speaks milliseconds; and by one lowest
    probability, which is that of each attribute asked for.
    """
    heads = [head for head in HEADS if head in arguments]
    asked: MultiDict[str, str] = MultiDict()
    for name, text in arguments.items(multi=True):
        if name in _MILLISECONDS:
            try:
                asked.add(_MILLISECONDS[name], str(float(text) * 1000))
            except ValueError as error:
                raise OptionsError({name: "must be a number of seconds"}) from error
        elif name == "min_probability":
            if not heads:
                raise OptionsError({name: "is of an attribute: choose one above"})
            asked.update({f"{head}_min_probability": text for head in heads})
        else:
            asked.add(name, text)
    return asked
