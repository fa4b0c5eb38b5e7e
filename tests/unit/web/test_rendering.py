"""How pages format numbers, sizes and times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs_web.pages.rendering import (
    count,
    duration,
    file_size,
    inline_code,
    percent,
    time_left,
    timecode,
)


@pytest.mark.parametrize(
    ("milliseconds", "digits", "expected"),
    [
        (0, 1, "0:00.0"),
        (3240, 1, "0:03.2"),
        (59_960, 1, "1:00.0"),
        (40, 2, "0:00.04"),
        (3_723_400, 1, "1:02:03.4"),
    ],
)
def test_timecodes(milliseconds: float, digits: int, expected: str) -> None:
    assert timecode(milliseconds, digits) == expected


@given(st.floats(min_value=0, max_value=1e9))
def test_a_timecode_parses_back_to_the_same_time(milliseconds: float) -> None:
    *larger, seconds = timecode(milliseconds, 2).split(":")
    whole = 0
    for part in larger:
        whole = whole * 60 + int(part)
    assert (whole * 60 + float(seconds)) * 1000 == pytest.approx(milliseconds, abs=5.01)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_960, "100 kB"),
        (664_561, "665 kB"),
        (999_600, "1.0 MB"),
        (4 * 1024**3, "4.3 GB"),
    ],
)
def test_file_sizes(number: int, expected: str) -> None:
    assert file_size(number) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.2, "less than a second"), (12.4, "12 s"), (89, "89 s"), (600, "10 min"), (7200, "2.0 h")],
)
def test_durations(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_inline_code_is_marked_and_everything_else_is_escaped() -> None:
    assert (
        inline_code("`limit` of <b> & `a<b`")
        == "<code>limit</code> of &lt;b&gt; &amp; <code>a&lt;b</code>"
    )
    assert inline_code("a ` alone") == "a ` alone"


def test_percentages_and_counts() -> None:
    assert percent(0.934) == "93\u202f%"
    assert count(1, "face") == "1 face"
    assert count(2310, "face") == "2,310 faces"


def test_remaining_time() -> None:
    assert time_left(0.4) == "nearly done"
    assert time_left(75) == "about 75 s left"
