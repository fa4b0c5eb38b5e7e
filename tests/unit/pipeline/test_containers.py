"""What Matroska's tags say about the end of a video."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from faces_jobs.pipeline.reading.containers import tagged_end


@pytest.mark.parametrize(
    ("tags", "header_seconds", "end"),
    [
        ({"DURATION": "00:01:02.040000000"}, 70, 62.04),
        ({"DURATION-eng": "01:00:00"}, 4000, 3600),
        ({"DURATION-eng": "02:00:00", "DURATION": "00:00:02"}, 60, 2),  # the former was copied
        ({"DURATION": "02:00:00"}, 60, 60),
        ({"DURATION": "00:01:02"}, None, None),
        ({"DURATION": "soon"}, 60, None),
        ({}, 60, None),
    ],
)
def test_the_end_is_the_video_s_own_tag_within_the_length_of_the_file(
    tags: dict[str, str], header_seconds: int | None, end: float | None
) -> None:
    duration = None if header_seconds is None else header_seconds * 1_000_000
    container: Any = SimpleNamespace(duration=duration)
    stream: Any = SimpleNamespace(metadata=tags)
    assert tagged_end(container, stream) == end
