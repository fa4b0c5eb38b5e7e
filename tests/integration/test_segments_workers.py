"""Several real workers share a video and one is killed: the rows are those of a whole run."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import astuple
from pathlib import Path
from typing import Any

import av
import pytest
from sqlalchemy import select

from faces_jobs.db.processes import live_processes
from faces_jobs.db.results.rows import read_faces, read_tracks
from faces_jobs.db.session import Database, open_database
from faces_jobs.db.tables import SegmentRow
from faces_jobs.queue.producer import open_queue
from faces_jobs.results import get_job, list_artifacts, open_artifact
from faces_jobs.settings import Settings
from faces_jobs.storage import open_storage
from faces_jobs.worker.maintenance.sweep import sweep
from faces_jobs.worker.process import process_segment
from faces_jobs.worker.resources import open_worker
from tests.integration.processes import portrait_clip, submit, wait_for, worker_process

FRAMES = 48


@pytest.fixture(params=["sqlite+folder", "postgres+redis"])
def service_settings(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Settings for one machine, and for several."""
    database, broker = request.param.split("+")
    broker_url = request.getfixturevalue("empty_redis_url") if broker == "redis" else ""
    return settings.model_copy(
        update={
            "database_url": request.getfixturevalue(f"{database}_database_url"),
            "broker_url": broker_url,
            "segment_seconds": 0.4,
            "ring_again_seconds": 3.0,
            "device": "cpu",
        }
    )


def test_a_killed_worker_does_not_change_the_results_of_a_shared_video(
    service_settings: Settings, tmp_path: Path, log: Path
) -> None:
    workers = 3 if service_settings.broker_url else 2
    clip = portrait_clip(tmp_path / "clip.mp4", FRAMES, rate=20, codec_options={"g": "5"})
    with open_database(service_settings.database) as database:
        whole = process_whole(service_settings, database, clip)
        with ExitStack() as started, open_queue(service_settings) as queue:
            processes = {
                process.pid: process
                for process in (
                    started.enter_context(worker_process(service_settings, log))
                    for _ in range(workers)
                )
            }
            # All at once: otherwise one that started first may have done everything.
            wait_for(lambda: len(live_processes(database, within_seconds=3600)) == workers)
            job_id = submit(service_settings, database, clip)
            running: set[int] = set()

            def is_shared() -> bool:
                running.update(holders(database, job_id))
                return bool(running)

            wait_for(is_shared)
            processes[running.pop()].kill()

            def ended() -> bool:
                sweep(database, queue, service_settings)
                return get_job(database, job_id).status.ended

            wait_for(ended)
        with database.read() as session:
            rows = session.execute(
                select(SegmentRow.stage, SegmentRow.attempts, SegmentRow.worker).where(
                    SegmentRow.job_id == job_id
                )
            ).all()
        assert get_job(database, job_id).status == "succeeded"
        assert sum(row.stage == "find" for row in rows) == 6
        assert len({row.worker for row in rows}) >= min(2, workers - 1)
        assert sum(row.attempts - 1 for row in rows) <= 1, "the kill cost at most one attempt"
        assert_same(read_rows(database, job_id), read_rows(database, whole))
        assert times(service_settings, database, job_id) == times(service_settings, database, whole)


def process_whole(settings: Settings, database: Database, clip: Path) -> str:
    """Process a clip without cutting it. Returns the job's id."""
    uncut = settings.model_copy(update={"segment_seconds": 1000.0})
    job_id = submit(settings, database, clip)
    with open_worker(uncut) as worker, database.read() as session:
        segment_id = session.scalars(select(SegmentRow.id).where(SegmentRow.job_id == job_id)).one()
        session.rollback()
        process_segment(segment_id, worker)
    assert get_job(database, job_id).status == "succeeded"
    return job_id


def holders(database: Database, job_id: str) -> set[int]:
    """Return the process ids of the workers that run a segment of this job after the first."""
    with database.read() as session:
        found = session.scalars(
            select(SegmentRow.worker).where(
                SegmentRow.job_id == job_id,
                SegmentRow.status == "running",
                SegmentRow.segment_index > 0,
            )
        )
        return {int(name.split("-")[-2]) for name in found if name}


def read_rows(database: Database, job_id: str) -> list[Any]:
    faces = [astuple(face) for _, face in read_faces(database, job_id)]
    tracks = [astuple(track) for _, track in read_tracks(database, job_id)]
    assert faces
    return [faces, tracks]


def assert_same(ours: Any, theirs: Any) -> None:
    """Compare recursively; floats may differ by the rounding errors of other batch sizes."""
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs)
        for key, value in theirs.items():
            assert_same(ours[key], value)
    elif isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, abs=1e-4)
    else:
        assert ours == theirs


def times(settings: Settings, database: Database, job_id: str) -> list[int | None]:
    """Return the times of the frames of the annotated copy."""
    (video,) = list_artifacts(database, job_id, kind="annotated_video").artifacts
    opened = open_artifact(database, open_storage(settings), job_id, video.id)
    with opened.stored.file as file, av.open(file, "r") as container:
        found = [frame.pts for frame in container.decode(video=0)]
    assert len(found) == FRAMES
    return found
