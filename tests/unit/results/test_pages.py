"""Cursors: what was written is read back exactly, and all else is refused."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.errors import OptionsError
from faces_jobs.results.pages import (
    COUNT_RANGE,
    MAX_COUNT,
    MAX_INTEGER,
    decode_cursor,
    encode_cursor,
)


@given(st.integers(0, MAX_INTEGER), st.floats(allow_nan=False, allow_infinity=False))
def test_a_cursor_is_read_back_exactly(number: int, time: float) -> None:
    assert decode_cursor(encode_cursor([number, time]), (int, float)) == [number, time]


def test_without_a_cursor_reading_starts_at_the_beginning() -> None:
    assert decode_cursor(None, (int,)) is None


@given(st.text(max_size=200))
def test_any_text_is_a_cursor_or_is_refused(text: str) -> None:
    try:
        place = decode_cursor(text, (int, str))
    except OptionsError:
        return
    assert place is not None
    assert isinstance(place[0], int)
    assert isinstance(place[1], str)


@pytest.mark.parametrize(
    "place",
    [
        [True],
        [1.0],
        ["1"],
        [None],
        [[1]],
        {"a": 1},
        [],
        [1, 2],
        [MAX_INTEGER + 1],
        [-2],
        [10**400],
    ],
)
def test_places_of_another_type_or_range_are_refused(place: object) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")
    with pytest.raises(OptionsError, match="cursor"):
        decode_cursor(cursor, (int,))


def test_a_count_that_is_too_large_for_its_column_is_refused() -> None:
    assert decode_cursor(encode_cursor([MAX_COUNT]), (COUNT_RANGE,)) == [MAX_COUNT]
    with pytest.raises(OptionsError, match="cursor"):
        decode_cursor(encode_cursor([MAX_COUNT + 1]), (COUNT_RANGE,))


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999", "true", "1", '"1"'])
def test_json_that_is_not_a_finite_float_is_refused(text: str) -> None:
    cursor = base64.urlsafe_b64encode(f"[{text}]".encode()).decode().rstrip("=")
    with pytest.raises(OptionsError):
        decode_cursor(cursor, (float,))
