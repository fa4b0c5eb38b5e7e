"""The size of batches: as configured, and smaller at the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.sampling import Sampling
from faces_jobs.pipeline.stages.decode import DecodeStage
from faces_jobs.pipeline.timing import StageTimer
from tests import clips
from tests.clips import Picture
from tests.unit.pipeline.given import FakeReader


def batch_sizes(actual: int, declared: int | None, *, batch_size: int, lanes: int) -> list[int]:
    def pictures() -> Iterator[Picture]:
        for _ in range(actual):
            yield clips.picture([], width=16, height=16)

    reader = FakeReader(pictures(), 16, 16, {})
    reader.info = replace(reader.info, frame_count=declared)
    stage = DecodeStage(
        reader, Sampling(JobSpec()), StageTimer(), batch_size=batch_size, lanes=lanes
    )
    return [len(batch.frames) for batch in stage]


def test_the_last_batches_are_small() -> None:
    sizes = batch_sizes(40, 40, batch_size=8, lanes=2)
    assert sizes == [8, 8, 6, 5, 4, 3, 2, 1, 1, 1, 1]


@pytest.mark.parametrize("declared", [None, 0, 3])
def test_with_an_unknown_number_of_frames_batches_are_full(declared: int | None) -> None:
    assert batch_sizes(20, declared, batch_size=8, lanes=1) == [8, 8, 4]
    assert sum(batch_sizes(20, declared, batch_size=8, lanes=2)) == 20
    assert max(batch_sizes(20, declared, batch_size=8, lanes=2)) == 8


@given(st.integers(0, 100), st.integers(0, 130), st.integers(1, 32), st.integers(1, 8))
def test_no_frame_is_lost_and_no_batch_too_large(
    actual: int, declared: int, batch_size: int, lanes: int
) -> None:
    sizes = batch_sizes(actual, declared, batch_size=batch_size, lanes=lanes)
    assert sum(sizes) == actual
    assert all(0 < size <= batch_size for size in sizes)
