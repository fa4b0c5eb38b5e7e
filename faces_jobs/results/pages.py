"""Keyset pagination: page limits, and cursors that encode the last row of a page.

A cursor is opaque to clients and contains nothing but the last row's key, so that pages neither
skip nor repeat rows when others are added or deleted, and cursors never expire.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from faces_jobs.db.conditions import is_kept
from faces_jobs.db.tables import JobRow
from faces_jobs.errors import NotFoundError, OptionsError
from faces_jobs.jobs.query import MAX_PAGE_SIZE

KeyPart = int | float | str
Kind = type[KeyPart] | range
FaceKey = tuple[int, int, int]
"""A face's item, frame and number within the frame."""

# As wide as the database's columns: ids and frame numbers; counts within a job or item.
MAX_INTEGER = 2**63 - 1
MAX_COUNT = 2**31 - 1
COUNT_RANGE = range(-1, MAX_COUNT + 1)


def check_limit(limit: int) -> None:
    """Check that a page's limit is within the range allowed.

    Raises:
        OptionsError: the limit is out of range.
    """
    if not 1 <= limit <= MAX_PAGE_SIZE:
        raise OptionsError({"limit": f"must be 1 to {MAX_PAGE_SIZE}"})


def encode_cursor(key: Sequence[KeyPart]) -> str:
    """Encode a row's key as a cursor."""
    encoded = json.dumps(list(key), separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(encoded).rstrip(b"=").decode("ascii")


def decode_cursor(cursor: str | None, kinds: Sequence[Kind]) -> list[KeyPart] | None:
    """Decode the key that a cursor contains; None for the first page.

    Args:
        cursor: what `encode_cursor` returned, as sent back by a client.
        kinds: the type or range of each part of the key.

    Raises:
        OptionsError: the cursor is not one of this list.
    """
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError) as error:
        raise _invalid_cursor() from error
    if not isinstance(key, list) or len(key) != len(kinds):
        raise _invalid_cursor()
    return [_checked_part(part, kind) for part, kind in zip(key, kinds, strict=True)]


def decode_face_cursor(cursor: str | None) -> FaceKey | None:
    """Decode the key in a cursor of a list of faces, which also has a time; None: the first page.

    Raises:
        OptionsError: the cursor is not one of a list of faces.
    """
    parts = decode_cursor(cursor, (int, float, int, COUNT_RANGE))
    return None if parts is None else (int(parts[0]), int(parts[2]), int(parts[3]))


def check_job_exists(session: Session, job_id: str) -> None:
    """Check that a job exists.

    Raises:
        NotFoundError: there is no such job.
    """
    if session.scalar(select(JobRow.id).where(JobRow.id == job_id, is_kept())) is None:
        raise NotFoundError(f"There is no job {job_id}.")


def _checked_part(part: object, kind: Kind) -> KeyPart:
    if isinstance(kind, range) and type(part) is int and part in kind:
        return part
    if kind is str and isinstance(part, str) and part.isprintable():
        return part
    if kind is int and type(part) is int and -1 <= part <= MAX_INTEGER:
        return part
    if kind is float and isinstance(part, float) and math.isfinite(part):
        return part
    raise _invalid_cursor()


def _invalid_cursor() -> OptionsError:
    return OptionsError({"cursor": "is not a cursor of this list: start without one"})
