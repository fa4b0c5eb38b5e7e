"""Work that is interrupted: cancelled, paused, stopped, deleted, out of space, given up."""

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
from faces_jobs.pipeline.protocols import Detector
from faces_jobs.results import (
    cancel_job,
    get_job,
    pause_job,
    resume_job,
)
from faces_jobs.retention import delete_job
from faces_jobs.storage import LocalStorage, StoredFile
from faces_jobs.storage.progress import Progress, ignore_progress
from faces_jobs.worker.maintenance.sweep import sweep
from faces_jobs.worker.next_work import take_next_work
from faces_jobs.worker.process import process_segment
from tests.clips import moving_squares, write_video
from tests.integration.harness import Harness, SquareNetworks


def test_a_cancel_takes_effect_within_a_batch_of_the_next_renewal(
    harness: Harness, tmp_path: Path
) -> None:
    job_id = harness.submit(write_video(tmp_path / "long.mp4", moving_squares(400)))
    renewed = threading.Event()

    def cancel(batch: int) -> None:
        if batch == 2:
            cancel_job(harness.worker.database, job_id)
        if batch > 2:
            renewed.wait(0.05)  # longer than a heartbeat

    harness.networks.before_batch = cancel
    harness.work(job_id)

    assert harness.networks.batches < 200, "it stopped early"
    assert get_job(harness.worker.database, job_id).status == "cancelled"
    assert [item.status for item in harness.items(job_id)] == ["cancelled"]
    assert harness.files() == []


def test_a_pause_takes_effect_within_a_batch_of_the_next_renewal(
    harness: Harness, tmp_path: Path
) -> None:
    job_id = harness.submit(write_video(tmp_path / "long.mp4", moving_squares(400)))
    renewed = threading.Event()

    def pause(batch: int) -> None:
        if batch == 2:
            pause_job(harness.worker.database, job_id)
        if batch > 2:
            renewed.wait(0.05)  # longer than a heartbeat

    harness.networks.before_batch = pause
    harness.work(job_id)

    assert harness.networks.batches < 200, "it stopped early"
    assert get_job(harness.worker.database, job_id).status == "paused"
    assert harness.files() == []

    harness.networks.before_batch = lambda _batch: None
    resume_job(harness.worker.database, harness.worker.queue, job_id)
    harness.work(job_id)
    assert get_job(harness.worker.database, job_id).status == "succeeded"
    with harness.worker.database.read() as session:
        assert set(session.scalars(select(SegmentRow.attempts))) == {1}, "the pause cost no attempt"


MAX_STEPS = 3000


class SlowStorage(LocalStorage):
    """A storage that makes one kind of transfer slow, until its progress callback aborts it."""

    def __init__(self, folder: Path, slow: str, on_start: Callable[[], None]) -> None:
        super().__init__(folder)
        self._slow = slow
        self._on_start = on_start
        self.steps = 0

    def fetch(self, key: str, *, on_progress: Progress = ignore_progress) -> Any:
        self._transfer("fetch", on_progress)
        return super().fetch(key)

    def fetch_all(
        self, keys: Sequence[str], folder: Path, *, on_progress: Progress = ignore_progress
    ) -> list[Path]:
        self._transfer("fetch_all", on_progress)
        return super().fetch_all(keys, folder)

    def publish(
        self, folder: Path, *, on_progress: Progress = ignore_progress, **named: Any
    ) -> dict[str, StoredFile]:
        self._transfer("publish", on_progress)
        return super().publish(folder, **named)

    def _transfer(self, kind: str, on_progress: Progress) -> None:
        on_progress()
        if kind == self._slow:
            self._on_start()
            while self.steps < MAX_STEPS:
                self.steps += 1
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
def test_a_cancel_or_a_stop_aborts_transfers(
    harness: Harness, photo: Path, source: str, slow: str, meanwhile: str
) -> None:
    segment_seconds = 0.2 if source == "parts" else 10.0
    settings = harness.worker.settings.model_copy(update={"segment_seconds": segment_seconds})
    worker = replace(harness.worker, settings=settings)
    film = write_video(harness.folder / "film.mp4", moving_squares(20), codec_options={"g": "5"})
    job_id = harness.submit(*([photo, photo] if source == "images" else [film]))

    def interrupt() -> None:
        if meanwhile == "cancelled":
            cancel_job(worker.database, job_id)
        else:
            worker.stop_requested.set()

    storage = SlowStorage(worker.storage.folder, slow, interrupt)
    while not storage.steps:
        take_next_work(replace(worker, storage=storage))

    assert storage.steps < MAX_STEPS, "the transfer was aborted"
    if meanwhile == "stopped":
        harness.work(job_id, replace(worker, stop_requested=threading.Event()))
    assert get_job(worker.database, job_id).status == (
        "cancelled" if meanwhile == "cancelled" else "succeeded"
    )
    with worker.database.read() as session:
        assert set(session.scalars(select(SegmentRow.attempts))) <= {0, 1}, (
            "the interruption cost no attempt"
        )


def test_a_worker_that_is_stopped_releases_its_segment(harness: Harness, clip: Path) -> None:
    job_id = harness.submit(clip)
    depth = harness.worker.queue.depth()

    def stop(batch: int) -> None:
        if batch == 2:
            harness.worker.stop_requested.set()

    harness.networks.before_batch = stop
    process_segment(harness.segments(job_id)[0], harness.worker)

    assert harness.networks.batches < 5, "no batch is started except those under way"
    assert harness.worker.queue.depth() == depth + 1, "other workers are notified immediately"
    assert harness.files() == []
    bob = replace(harness.worker, name="bob", stop_requested=threading.Event())
    harness.work(job_id, bob)
    assert get_job(harness.worker.database, job_id).status == "succeeded"
    with harness.worker.database.read() as session:
        assert session.execute(select(SegmentRow.attempts, SegmentRow.worker)).one() == (1, "bob")


def test_rows_and_files_of_a_zombie_are_discarded(harness: Harness, clip: Path) -> None:
    """A worker that resumes after its lease expired does not change its successor's results."""
    job_id = harness.submit(clip)
    (segment_id,) = harness.segments(job_id)
    bob = replace(harness.worker, name="bob", networks=SquareNetworks())
    results_of_bob: list[object] = []

    def wait_for_progress() -> None:
        for _ in range(1000):
            with harness.worker.database.read() as session:
                if session.scalar(select(SegmentRow.frames_done)):
                    return
            threading.Event().wait(0.01)
        pytest.fail("no progress was recorded")

    def sleep_past_the_lease(batch: int) -> None:
        if batch != 3:
            return
        wait_for_progress()
        with harness.worker.database.begin() as session:
            session.execute(update(SegmentRow).values(lease_until=now_seconds() - 1))
        harness.work(job_id, bob)
        # At this moment the zombie's own workspace still exists.
        visible = [name for name in harness.files() if not name.startswith("work/")]
        results_of_bob.append((visible, harness.artifacts(job_id)))

    # With an hour between heartbeats, it renews once, at its first progress, and then never again.
    zombie = replace(
        harness.worker,
        settings=harness.worker.settings.model_copy(
            update={"heartbeat_seconds": 3600.0, "lease_seconds": 7200.0}
        ),
    )
    harness.networks.before_batch = sleep_past_the_lease
    process_segment(segment_id, zombie)

    # With several lanes there are more batches.
    assert harness.networks.batches >= 5, "the zombie worked to the end"
    assert results_of_bob == [(harness.files(), harness.artifacts(job_id))]
    assert get_job(harness.worker.database, job_id).status == "succeeded"
    with harness.worker.database.read() as session:
        assert session.scalars(select(SegmentRow.worker)).all() == ["bob"]
        assert len(session.scalars(select(FaceRow.frame_index)).all()) == 20


def test_a_job_that_is_deleted_during_its_work_leaves_nothing(harness: Harness, clip: Path) -> None:
    job_id = harness.submit(clip)

    def delete(batch: int) -> None:
        if batch == 5:
            delete_job(job_id, database=harness.worker.database, storage=harness.worker.storage)

    harness.networks.before_batch = delete
    (segment_id,) = harness.segments(job_id)
    process_segment(segment_id, harness.worker)

    folder = harness.worker.storage.folder
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert list((folder / "jobs").iterdir()) == []
    with harness.worker.database.read() as session:
        assert session.scalars(select(FaceRow.frame_index)).all() == []


@pytest.mark.parametrize("error", [ModelError("No weights."), DeviceError("No CUDA.")])
def test_a_missing_network_fails_the_job_with_its_reason(
    harness: Harness, clip: Path, photo: Path, error: Exception
) -> None:
    def missing(detection_size: int = 0) -> Detector:  # noqa: ARG001 (as the protocol)
        raise error

    harness.networks.detector = missing  # type: ignore[method-assign]  # a missing network
    job_id = harness.submit(clip, photo)

    harness.work(job_id)

    job = get_job(harness.worker.database, job_id)
    assert job.status == "failed"
    assert job.error is not None
    assert job.error.message == str(error)
    assert [item.error and item.error.message for item in harness.items(job_id)] == [str(error)] * 2


def test_a_job_waits_while_the_disk_is_full(harness: Harness, clip: Path) -> None:
    job_id = harness.submit(clip)

    def fill(_batch: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    harness.networks.before_batch = fill
    harness.work(job_id)
    assert harness.files() == []
    with harness.worker.database.read() as session:
        row = session.execute(
            select(SegmentRow.status, SegmentRow.attempts, SegmentRow.last_error)
        ).one()
    assert (row.status, row.attempts) == ("queued", 0), "it cost no attempt"
    assert "disk is full" in (row.last_error or "")
    assert get_job(harness.worker.database, job_id).status == "waiting_for_space"

    harness.networks.before_batch = lambda _batch: None
    assert (
        sweep(harness.worker.database, harness.worker.queue, harness.worker.settings).resumed == 1
    )
    harness.work(job_id)
    assert get_job(harness.worker.database, job_id).status == "succeeded"


def test_work_that_always_fails_is_given_up_with_its_last_reason(
    harness: Harness, clip: Path
) -> None:
    job_id = harness.submit(clip)

    def fail(_batch: int) -> None:
        raise ZeroDivisionError("/secret/path")

    harness.networks.before_batch = fail
    for _ in range(harness.worker.settings.max_attempts):
        assert get_job(harness.worker.database, job_id).status in ("queued", "running")
        harness.work(job_id)

    (item,) = harness.items(job_id)
    assert item.error is not None
    assert item.error.code == "poison"
    assert "ZeroDivisionError" in item.error.message
    assert "/secret/path" not in item.error.message
    assert get_job(harness.worker.database, job_id).status == "failed"


def test_a_job_waits_for_space_for_a_workspace(harness: Harness, clip: Path) -> None:
    job_id = harness.submit(clip)
    full = replace(
        harness.worker,
        storage=LocalStorage(harness.worker.storage.folder, min_free_bytes=2**62),
    )
    harness.work(job_id, full)
    assert get_job(harness.worker.database, job_id).status == "waiting_for_space"
    resume_job(harness.worker.database, harness.worker.queue, job_id)
    harness.work(job_id)
    assert get_job(harness.worker.database, job_id).status == "succeeded"
