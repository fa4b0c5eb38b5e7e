"""Parts that are linked and drawn as soon as they are found: the same results in fewer steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from faces_jobs.db.processes import Process, delete_process, record_heartbeat
from faces_jobs.db.tables import SegmentRow
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.results import get_job
from faces_jobs.worker.linking_state import LinkingStateCache
from faces_jobs.worker.process import process_segment
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.stages import encode_runs
from faces_jobs.worker.stages import link as link_stage
from tests.clips import GREEN, RED, Sound, Square, picture, write_video
from tests.integration.harness import SMALL_FACES, Harness, rows, stages

FRAMES = 60
PARTS = 4

Outcome = tuple[list[str], dict[str, bytes], Any]
"""The stages of a clip's segments, its files, and its rows."""


@pytest.fixture(autouse=True)
def in_two_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let short parts consist of two runs."""
    monkeypatch.setattr(encode_runs, "MIN_FRAMES", 4)


@pytest.fixture
def worker(harness: Harness) -> Worker:
    """A worker that cuts the clip into four parts."""
    return with_settings(harness.worker, segment_seconds=0.7)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A square that crosses, one that leaves, one that appears midway, and a change of scene."""
    pictures = []
    for index in range(FRAMES):
        squares = [Square(2 + 2 * index, 4, 14)]
        if index < 33:
            squares.append(Square(130 - index, 60, 14, GREEN))
        if index > 25:
            squares.append(Square(130, 30 + index // 4, 12, RED))
        background = (96, 96, 96) if index < 47 else (10, 10, 10)
        pictures.append(picture(squares, width=160, height=120, background=background))
    return write_video(
        tmp_path / "clip.mp4",
        pictures,
        codec_options={"g": "5", "bf": "2"},
        sounds=[Sound(seconds=FRAMES / 25)],
    )


def with_settings(worker: Worker, **values: Any) -> Worker:
    return replace(
        worker,
        settings=worker.settings.model_copy(update=values),
        linking_state=LinkingStateCache(),
    )


@contextmanager
def another_worker(worker: Worker) -> Iterator[None]:
    """Record a second worker, which does nothing."""
    other = Process(name="other", kind="worker", host="elsewhere", pid=1, version="1")
    record_heartbeat(worker.database, other, {})
    yield
    delete_process(worker.database, other.name)


def process_stage_by_stage(
    harness: Harness, worker: Worker, clip: Path, spec: JobSpec = SMALL_FACES
) -> Outcome:
    """Process the clip by a worker that is not alone, so that it does not work ahead."""
    with another_worker(worker):
        return finish(harness, clip, lambda _: worker, spec)


def finish(
    harness: Harness, clip: Path, by: Callable[[int], Worker], spec: JobSpec = SMALL_FACES
) -> Outcome:
    """Process the clip's segments in order, each by the worker `by(number)`."""
    job_id = harness.submit(clip, spec=spec)
    for number in range(50):
        unfinished = unfinished_segments(harness, job_id)
        if not unfinished:
            break
        process_segment(unfinished[0], by(number))
    assert get_job(harness.worker.database, job_id).status == "succeeded"
    files = {
        each.name: harness.path(each).read_bytes()
        for each in harness.artifacts(job_id)
        if each.kind in ("annotated_video", "thumbnail")
    }
    return [stage for stage, _ in stages(harness, job_id)], files, rows(harness, job_id)


def unfinished_segments(harness: Harness, job_id: str) -> list[int]:
    with harness.worker.database.read() as session:
        rows = session.execute(
            select(SegmentRow.id, SegmentRow.status)
            .where(SegmentRow.job_id == job_id)
            .order_by(SegmentRow.segment_index)
        )
        return [row.id for row in rows if not row.status.ended]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # options don't depend on it
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"frame_stride": 3},
        {"detect_every": "adaptive", "classify": "auto"},
        {"annotated": False, "max_fps": 11.0},
    ],
    ids=str,
)
def test_working_ahead_gives_the_same_results(
    harness: Harness, worker: Worker, clip: Path, options: dict[str, Any]
) -> None:
    spec = SMALL_FACES.model_copy(update=options)
    ahead, *results = finish(harness, clip, lambda _: worker, spec)
    afterwards, *expected = process_stage_by_stage(harness, worker, clip, spec)
    draws = ["draw"] * PARTS if spec.annotated else []
    assert ahead == ["find"] * PARTS + ["link", "bind"]
    assert afterwards == ["find"] * PARTS + ["link", *draws, "bind"]
    assert results == expected
    assert {"0-clip.track-1.jpg"} < set(results[0])


def test_a_worker_that_linked_all_parts_does_not_read_them_again(
    harness: Harness, worker: Worker, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(link_stage, "read_findings")
    finish(harness, clip, lambda _: worker)


def test_working_ahead_stops_at_a_part_that_another_worker_found(
    harness: Harness, worker: Worker, clip: Path
) -> None:
    other = with_settings(worker)
    found, *results = finish(harness, clip, lambda number: other if number == 2 else worker)
    assert found.count("draw") == PARTS - 2, "the first two were drawn ahead"
    assert results == list(process_stage_by_stage(harness, worker, clip)[1:])


def test_working_ahead_stops_at_an_attempt_that_fails(
    harness: Harness, worker: Worker, clip: Path
) -> None:
    attempts: list[int] = []

    def fail_once(_batch: int) -> None:
        if attempts.count(1) == 1:  # the second part, once
            attempts.append(1)
            raise ZeroDivisionError

    def work(attempt: int) -> Worker:
        attempts.append(attempt)
        return worker

    harness.networks.before_batch = fail_once
    found, *results = finish(harness, clip, work)
    harness.networks.before_batch = lambda _batch: None
    assert found.count("draw") == PARTS - 1, "the first was drawn ahead"
    assert results == list(process_stage_by_stage(harness, worker, clip)[1:])


def test_best_shots_that_were_not_kept_are_cropped_afterwards(
    harness: Harness, worker: Worker, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, *expected = process_stage_by_stage(harness, worker, clip)
    # As if linking had merged two tracks of a part into one.
    monkeypatch.setattr(link_stage, "unpack_portraits", lambda *_: False)
    found, *results = finish(harness, clip, lambda _: worker)
    assert 0 < found.count("draw") <= PARTS
    assert results == expected
