"""Work that does not come to its end: cancelled, stopped, deleted, with no room, given up."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.tables import FaceRow, SegmentRow
from faces_jobs.errors import DeviceError, ModelError
from faces_jobs.pipeline.stages import Detector
from faces_jobs.results import (
    cancel_job,
    get_job,
    pause_job,
    resume_job,
)
from faces_jobs.retention import delete_job
from faces_jobs.storage import LocalStorage, StoredFile
from faces_jobs.storage.progress import Progress, ignore_progress
from faces_jobs.worker.next_work import take_next_work
from faces_jobs.worker.process import process_segment
from faces_jobs.worker.sweep import sweep
from tests.clips import moving, write_video
from tests.integration.workbench import Bench, Squares


def test_a_cancel_is_seen_within_a_batch_of_the_next_renewal(bench: Bench, tmp_path: Path) -> None:
    job_id = bench.submit(write_video(tmp_path / "long.mp4", moving(400)))
    renewed = threading.Event()

    def cancel(batch: int) -> None:
        if batch == 2:
            cancel_job(bench.worker.database, job_id)
        if batch > 2:
            renewed.wait(0.05)  # longer than a heartbeat

    bench.networks.before_batch = cancel
    bench.work(job_id)

    assert bench.networks.batches < 200, "it did not work to the end"
    assert get_job(bench.worker.database, job_id).status == "cancelled"
    assert [item.status for item in bench.items(job_id)] == ["cancelled"]
    assert bench.files() == []


def test_a_pause_is_seen_within_a_batch_of_the_next_renewal(bench: Bench, tmp_path: Path) -> None:
    job_id = bench.submit(write_video(tmp_path / "long.mp4", moving(400)))
    renewed = threading.Event()

    def pause(batch: int) -> None:
        if batch == 2:
            pause_job(bench.worker.database, job_id)
        if batch > 2:
            renewed.wait(0.05)  # longer than a heartbeat

    bench.networks.before_batch = pause
    bench.work(job_id)

    assert bench.networks.batches < 200, "it did not work to the end"
    assert get_job(bench.worker.database, job_id).status == "paused"
    assert bench.files() == []

    bench.networks.before_batch = lambda _batch: None
    resume_job(bench.worker.database, bench.worker.queue, job_id)
    bench.work(job_id)
    assert get_job(bench.worker.database, job_id).status == "succeeded"
    with bench.worker.database.read() as session:
        assert set(session.scalars(select(SegmentRow.attempts))) == {1}, "the pause cost none"


MOST_MOVES = 3000


class Slow(LocalStorage):
    """A storage whose files take until whoever waits for them has enough."""

    def __init__(self, folder: Path, slow: str, meanwhile: Callable[[], None]) -> None:
        super().__init__(folder)
        self._slow = slow
        self._meanwhile = meanwhile
        self.moves = 0

    def fetch(self, key: str, *, on_progress: Progress = ignore_progress) -> Any:
        self._move("fetch", on_progress)
        return super().fetch(key)

    def fetch_all(
        self, keys: Sequence[str], folder: Path, *, on_progress: Progress = ignore_progress
    ) -> list[Path]:
        self._move("fetch_all", on_progress)
        return super().fetch_all(keys, folder)

    def publish(
        self, folder: Path, *, on_progress: Progress = ignore_progress, **named: Any
    ) -> dict[str, StoredFile]:
        self._move("publish", on_progress)
        return super().publish(folder, **named)

    def _move(self, how: str, on_progress: Progress) -> None:
        on_progress()
        if how == self._slow:
            self._meanwhile()
            while self.moves < MOST_MOVES:
                self.moves += 1
                threading.Event().wait(0.01)
                on_progress()


@pytest.mark.parametrize("meanwhile", ["cancelled", "stopped"])
@pytest.mark.parametrize(
    ("source", "slow"),
    [
        ("images", "fetch"),
        ("whole", "fetch"),
        ("whole", "publish"),
        ("parts", "fetch"),
        ("parts", "fetch_all"),
        ("parts", "publish"),
    ],
)
def test_a_cancel_or_a_stop_is_seen_while_files_are_on_their_way(
    bench: Bench, photo: Path, source: str, slow: str, meanwhile: str
) -> None:
    segment_seconds = 0.2 if source == "parts" else 10.0
    settings = bench.worker.settings.model_copy(update={"segment_seconds": segment_seconds})
    worker = replace(bench.worker, settings=settings)
    film = write_video(bench.folder / "film.mp4", moving(20), codec_options={"g": "5"})
    job_id = bench.submit(*([photo, photo] if source == "images" else [film]))

    def happen() -> None:
        if meanwhile == "cancelled":
            cancel_job(worker.database, job_id)
        else:
            worker.stop_requested.set()

    storage = Slow(worker.storage.folder, slow, happen)
    while not storage.moves:
        take_next_work(replace(worker, storage=storage))

    assert storage.moves < MOST_MOVES, "it did not wait to the end"
    if meanwhile == "stopped":
        bench.work(job_id, replace(worker, stop_requested=threading.Event()))
    assert get_job(worker.database, job_id).status == (
        "cancelled" if meanwhile == "cancelled" else "succeeded"
    )
    with worker.database.read() as session:
        assert set(session.scalars(select(SegmentRow.attempts))) <= {0, 1}, "it cost none"


def test_a_worker_that_is_to_end_hands_its_segment_back(bench: Bench, clip: Path) -> None:
    job_id = bench.submit(clip)
    depth = bench.worker.queue.depth()

    def stop(batch: int) -> None:
        if batch == 2:
            bench.worker.stop_requested.set()

    bench.networks.before_batch = stop
    process_segment(bench.segments(job_id)[0], bench.worker)

    assert bench.networks.batches < 5, "no batch is begun beside those in hand"
    assert bench.worker.queue.depth() == depth + 1, "others are told at once"
    assert bench.files() == []
    bob = replace(bench.worker, name="bob", stop_requested=threading.Event())
    bench.work(job_id, bob)
    assert get_job(bench.worker.database, job_id).status == "succeeded"
    with bench.worker.database.read() as session:
        assert session.execute(select(SegmentRow.attempts, SegmentRow.worker)).one() == (1, "bob")


def test_a_zombie_s_rows_and_files_vanish(bench: Bench, clip: Path) -> None:
    """Stopped past its lease, then woken: the other's results stay as they are, byte for byte."""
    job_id = bench.submit(clip)
    (segment_id,) = bench.segments(job_id)
    bob = replace(bench.worker, name="bob", networks=Squares())
    others: list[object] = []

    def wait_until_progress_is_told() -> None:
        for _ in range(1000):
            with bench.worker.database.read() as session:
                if session.scalar(select(SegmentRow.frames_done)):
                    return
            threading.Event().wait(0.01)
        pytest.fail("the first progress is told at once")

    def sleep_past_the_lease(batch: int) -> None:
        if batch != 3:
            return
        wait_until_progress_is_told()
        with bench.worker.database.begin() as session:
            session.execute(update(SegmentRow).values(lease_until=now_seconds() - 1))
        bench.work(job_id, bob)
        # The zombie's own workspace is still there at this moment.
        visible = [name for name in bench.files() if not name.startswith("work/")]
        others.append((visible, bench.artifacts(job_id)))

    # A heart that beats once an hour, after the first progress, is one that was stopped.
    zombie = replace(
        bench.worker,
        settings=bench.worker.settings.model_copy(
            update={"heartbeat_seconds": 3600.0, "lease_seconds": 7200.0}
        ),
    )
    bench.networks.before_batch = sleep_past_the_lease
    process_segment(segment_id, zombie)

    assert bench.networks.batches >= 5, (
        "the zombie worked to its end"
    )  # more, where there are lanes
    assert others == [(bench.files(), bench.artifacts(job_id))]
    assert get_job(bench.worker.database, job_id).status == "succeeded"
    with bench.worker.database.read() as session:
        assert session.scalars(select(SegmentRow.worker)).all() == ["bob"]
        assert len(session.scalars(select(FaceRow.frame_index)).all()) == 20


def test_a_job_deleted_while_it_is_worked_on_leaves_nothing(bench: Bench, clip: Path) -> None:
    job_id = bench.submit(clip)

    def delete(batch: int) -> None:
        if batch == 5:
            delete_job(job_id, database=bench.worker.database, storage=bench.worker.storage)

    bench.networks.before_batch = delete
    (segment_id,) = bench.segments(job_id)
    process_segment(segment_id, bench.worker)

    folder = bench.worker.storage.folder
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert list((folder / "jobs").iterdir()) == []
    with bench.worker.database.read() as session:
        assert session.scalars(select(FaceRow.frame_index)).all() == []


@pytest.mark.parametrize("error", [ModelError("No weights."), DeviceError("No CUDA.")])
def test_a_missing_network_fails_the_job_with_its_reason(
    bench: Bench, clip: Path, photo: Path, error: Exception
) -> None:
    def missing() -> Detector:
        raise error

    bench.networks.detector = missing  # type: ignore[method-assign]  # networks that are not there
    job_id = bench.submit(clip, photo)

    bench.work(job_id)

    job = get_job(bench.worker.database, job_id)
    assert job.status == "failed"
    assert job.error is not None
    assert job.error.message == str(error)
    assert [item.error and item.error.message for item in bench.items(job_id)] == [str(error)] * 2


def test_a_full_disk_is_waited_for(bench: Bench, clip: Path) -> None:
    job_id = bench.submit(clip)

    def fill(_batch: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    bench.networks.before_batch = fill
    bench.work(job_id)
    assert bench.files() == []
    with bench.worker.database.read() as session:
        row = session.execute(
            select(SegmentRow.status, SegmentRow.attempts, SegmentRow.last_error)
        ).one()
    assert (row.status, row.attempts) == ("queued", 0), "it cost no attempt"
    assert "disk is full" in (row.last_error or "")
    assert get_job(bench.worker.database, job_id).status == "waiting_for_space"

    bench.networks.before_batch = lambda _batch: None
    assert sweep(bench.worker.database, bench.worker.queue, bench.worker.settings).resumed == 1
    bench.work(job_id)
    assert get_job(bench.worker.database, job_id).status == "succeeded"


def test_what_fails_every_time_is_given_up_with_its_last_reason(bench: Bench, clip: Path) -> None:
    job_id = bench.submit(clip)

    def fail(_batch: int) -> None:
        raise ZeroDivisionError("/secret/path")

    bench.networks.before_batch = fail
    for _ in range(bench.worker.settings.max_attempts):
        assert get_job(bench.worker.database, job_id).status in ("queued", "running")
        bench.work(job_id)

    (item,) = bench.items(job_id)
    assert item.error is not None
    assert item.error.code == "poison"
    assert "ZeroDivisionError" in item.error.message
    assert "/secret/path" not in item.error.message
    assert get_job(bench.worker.database, job_id).status == "failed"


def test_no_room_for_a_workspace_is_waited_for(bench: Bench, clip: Path) -> None:
    job_id = bench.submit(clip)
    full = replace(
        bench.worker,
        storage=LocalStorage(bench.worker.storage.folder, min_free_bytes=2**62),
    )
    bench.work(job_id, full)
    assert get_job(bench.worker.database, job_id).status == "waiting_for_space"
    resume_job(bench.worker.database, bench.worker.queue, job_id)
    bench.work(job_id)
    assert get_job(bench.worker.database, job_id).status == "succeeded"
