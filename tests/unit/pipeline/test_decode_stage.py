"""How many frames travel together: as many as are asked for, and few at the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.decode_stage import DecodeStage
from faces_jobs.pipeline.sampling import Sampling
from faces_jobs.pipeline.timing import StageTimer
from tests import clips
from tests.clips import Picture
from tests.unit.pipeline.given import Given


def _sizes(there: int, told: int | None, *, batch_size: int, lanes: int) -> list[int]:
    def pictures() -> Iterator[Picture]:
        for _ in range(there):
            yield clips.picture([], width=16, height=16)

    reader = Given(pictures(), 16, 16, {})
    reader.info = replace(reader.info, frame_count=told)
    decoding = DecodeStage(
        reader, Sampling(JobSpec()), StageTimer(), batch_size=batch_size, lanes=lanes
    )
    return [len(batch.frames) for batch in decoding]


def test_the_last_batches_are_small() -> None:
    sizes = _sizes(40, 40, batch_size=8, lanes=2)
    assert sizes == [8, 8, 6, 5, 4, 3, 2, 1, 1, 1, 1]


@pytest.mark.parametrize("told", [None, 0, 3])
def test_where_nobody_knows_how_many_come_they_are_whole(told: int | None) -> None:
    assert _sizes(20, told, batch_size=8, lanes=1) == [8, 8, 4]
    assert sum(_sizes(20, told, batch_size=8, lanes=2)) == 20
    assert max(_sizes(20, told, batch_size=8, lanes=2)) == 8


@given(st.integers(0, 100), st.integers(0, 130), st.integers(1, 32), st.integers(1, 8))
def test_no_frame_is_lost_and_no_batch_too_large(
    there: int, told: int, batch_size: int, lanes: int
) -> None:
    sizes = _sizes(there, told, batch_size=batch_size, lanes=lanes)
    assert sum(sizes) == there
    assert all(0 < size <= batch_size for size in sizes)
