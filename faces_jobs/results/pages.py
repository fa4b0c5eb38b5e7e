"""Pages: limits, and cursors that hold the place after which the next page begins.

A cursor is opaque to clients and holds nothing but the last row's key, so pages neither skip nor
repeat rows when others come or go, and a cursor stays good for as long as its client likes.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from faces_jobs.db.tables import JobRow
from faces_jobs.errors import NotFoundError, OptionsError
from faces_jobs.jobs.query import MAX_PAGE_SIZE

Place = int | float | str
Kind = type[Place] | range
# As wide as the database's columns: ids and frames, and what is counted within a job or item.
MAX_INTEGER = 2**63 - 1
MAX_COUNT = 2**31 - 1
COUNT_RANGE = range(-1, MAX_COUNT + 1)


def check_limit(limit: int) -> None:
    """See whether a page's limit is one that is served.

    Raises:
        OptionsError: it is not.
    """
    if not 1 <= limit <= MAX_PAGE_SIZE:
        raise OptionsError({"limit": f"must be 1 to {MAX_PAGE_SIZE}"})


def encode_cursor(place: Sequence[Place]) -> str:
    """The text that stands for a place."""
    written = json.dumps(list(place), separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(written).rstrip(b"=").decode("ascii")


def decode_cursor(cursor: str | None, kinds: Sequence[Kind]) -> list[Place] | None:
    """The place that a cursor stands for, each part of its kind; None for the first page.

    Raises:
        OptionsError: this is no cursor of that list.
    """
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        place = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError) as error:
        raise _no_cursor() from error
    if not isinstance(place, list) or len(place) != len(kinds):
        raise _no_cursor()
    return [_part(part, kind) for part, kind in zip(place, kinds, strict=True)]


def decode_face_cursor(cursor: str | None) -> list[Place] | None:
    """The place in a list of faces: item, time, frame and number in the frame.

    Raises:
        OptionsError: this is no cursor of a list of faces.
    """
    return decode_cursor(cursor, (int, float, int, COUNT_RANGE))


def check_job_exists(session: Session, job_id: str) -> None:
    """See whether there is such a job.

    Raises:
        NotFoundError: there is not.
    """
    if session.scalar(select(JobRow.id).where(JobRow.id == job_id)) is None:
        raise NotFoundError(f"There is no job {job_id}.")


def _part(part: object, kind: Kind) -> Place:
    if isinstance(kind, range) and type(part) is int and part in kind:
        return part
    if kind is str and isinstance(part, str) and "\0" not in part and part.isprintable():
        return part
    if kind is int and type(part) is int and -1 <= part <= MAX_INTEGER:
        return part
    if kind is float and isinstance(part, float) and math.isfinite(part):
        return part
    raise _no_cursor()


def _no_cursor() -> OptionsError:
    return OptionsError({"cursor": "is none that this list gave: begin without one"})
