"""Real worker processes on real brokers, with the real networks and a real face."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery.worker import request as celery_request
from PIL import Image
from skimage.data import astronaut
from sqlalchemy import select

from faces_jobs.counters import FRAMES
from faces_jobs.db.processes import set_measures
from faces_jobs.db.session import Database, open_database
from faces_jobs.db.tables import JobRow, SegmentRow
from faces_jobs.errors import DatabaseError, QueueError, SettingsError
from faces_jobs.jobs.query import TrackQuery
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.queue.producer import make_app, open_queue
from faces_jobs.results import cancel_job, get_job, list_artifacts, list_tracks
from faces_jobs.settings import Settings
from faces_jobs.storage import open_storage
from faces_jobs.worker.celery_worker import celery_worker, connect_signals, run_worker
from faces_jobs.worker.maintenance.sweep import sweep
from tests.clips import write_repeated
from tests.factories import new_claim, stored_job
from tests.integration.harness import Harness
from tests.integration.processes import (
    is_running,
    portrait_clip,
    submit,
    wait_for,
    worker_process,
)
from tests.integration.stored_files import sweep_files
from tests.services import TIMEOUT_SECONDS


def test_a_real_clip_end_to_end(
    broker_settings: Settings, database: Database, tmp_path: Path, log: Path
) -> None:
    clip = portrait_clip(tmp_path / "clip.mp4", 12)
    photo = tmp_path / "photo.jpg"
    Image.fromarray(astronaut()).save(photo)  # type: ignore[no-untyped-call]  # ships no types
    with worker_process(broker_settings, log) as process:
        job_id = submit(broker_settings, database, clip, photo)
        wait_for(lambda: get_job(database, job_id).status.ended)
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_SECONDS) == 0

    job = get_job(database, job_id)
    assert job.status == "succeeded"
    assert {model.name for model in job.models} == {
        "detector",
        "gender",
        "expression",
        "multiple",
    }
    tracks = list_tracks(database, TrackQuery(job_id=job_id)).tracks
    assert {track.item_name for track in tracks} == {"clip.mp4", "photo.jpg"}
    assert all(set(track.attributes) == set(JobSpec().heads) for track in tracks)
    kinds = {artifact.kind for artifact in list_artifacts(database, job_id).artifacts}
    assert kinds >= {"annotated_video", "annotated_image", "thumbnail", "faces_parquet"}
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_worker_that_gets_term_releases_its_segment_to_another(
    kind: str, request: pytest.FixtureRequest, settings: Settings, tmp_path: Path, log: Path
) -> None:
    url = request.getfixturevalue(f"{kind}_database_url")
    service_settings = settings.model_copy(update={"database_url": url})
    with open_database(url) as database:
        with worker_process(service_settings, log) as first:
            job_id = submit(service_settings, database, portrait_clip(tmp_path / "clip.mp4", 250))
            wait_for(lambda: is_running(database))
            first.send_signal(signal.SIGTERM)
            assert first.wait(TIMEOUT_SECONDS) == 0
        with database.read() as session:
            row = session.execute(select(SegmentRow.status, SegmentRow.attempts)).one()
        assert row == ("queued", 0), "released at no cost"
        assert log.read_text().count("released:") == 1, "and not claimed again"

        with worker_process(service_settings, log):
            wait_for(lambda: get_job(database, job_id).status.ended)
        assert get_job(database, job_id).status == "succeeded"


def test_a_killed_workers_segment_is_taken_over_and_can_be_cancelled(
    settings: Settings, sqlite_database_url: str, tmp_path: Path, log: Path
) -> None:
    service_settings = settings.model_copy(
        update={"database_url": sqlite_database_url, "ring_again_seconds": 3.0}
    )
    with open_database(sqlite_database_url) as database:
        clip = portrait_clip(tmp_path / "turn.mp4", 250)
        job_id = submit(
            service_settings, database, write_repeated(tmp_path / "clip.mp4", clip, times=6)
        )
        with worker_process(service_settings, log) as first:
            wait_for(lambda: is_running(database))
            first.kill()
            first.wait()
        with worker_process(service_settings, log) as second, open_queue(service_settings) as queue:

            def is_taken_over() -> bool:
                sweep(database, queue, service_settings)
                with database.read() as session:
                    return max(session.scalars(select(SegmentRow.attempts))) == 2

            wait_for(is_taken_over)
            wait_for(lambda: is_running(database))
            cancel_job(database, job_id)
            wait_for(lambda: "discarded: The job was cancelled" in log.read_text())
            second.send_signal(signal.SIGTERM)
            assert second.wait(TIMEOUT_SECONDS) == 0
        assert get_job(database, job_id).status == "cancelled"
        # The sweep removes files that a finished segment left for the next stage, and later those
        # that the killed worker left in its workspace.
        sweep_files(database, open_storage(service_settings), orphan_seconds=0)
        files = [
            path for path in open_storage(service_settings).folder.rglob("*") if path.is_file()
        ]
        assert [path for path in files if "artifacts" in path.parts] == []


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_other_pools_are_refused(settings: Settings, pool: str) -> None:
    with pytest.raises(SettingsError, match="fork"):
        celery_worker(make_app(settings), "test", pool=pool)


@pytest.fixture
def given_up_settings(
    settings: Settings, sqlite_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings of a worker on which Celery gives up as soon as it has started."""
    gave_up = SimpleNamespace(start=lambda: None, exitcode=1)
    monkeypatch.setattr(
        "faces_jobs.worker.celery_worker.celery_worker", lambda _app, _name: gave_up
    )
    return settings.model_copy(update={"database_url": sqlite_database_url})


def test_a_worker_on_which_celery_gives_up_ends_with_an_error(given_up_settings: Settings) -> None:
    with pytest.raises(QueueError):
        run_worker(given_up_settings)


def test_a_worker_that_starts_excludes_the_time_without_one(given_up_settings: Settings) -> None:
    with open_database(given_up_settings.database) as database:
        job = stored_job(database)
        set_measures(database, {FRAMES: 1.0})
        new_claim(database, job.segments[0])
        with pytest.raises(QueueError):
            run_worker(given_up_settings)
        with database.read() as session:
            assert session.scalars(select(JobRow.held_seconds)).one() > 0


def test_a_worker_without_a_database_leaves_no_data_folder(settings: Settings) -> None:
    # `up` would keep its rights, with which other users could read what is uploaded later.
    with pytest.raises(DatabaseError, match="db upgrade"):
        run_worker(settings)
    assert not settings.data_folder.exists()


def test_a_failed_acknowledgement_is_logged_as_a_warning(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    connect_signals(harness.worker)
    celery_request.logger.critical("Couldn't ack", exc_info=OSError("the broker is away"))
    (record,) = caplog.records
    assert (record.levelname, record.exc_info) == ("WARNING", None)


def test_the_sweep_runs_until_term(
    settings: Settings, sqlite_database_url: str, tmp_path: Path
) -> None:
    with open_database(sqlite_database_url) as database:
        job = stored_job(database)
        process = subprocess.Popen(
            [sys.executable, "-m", "faces_jobs", "sweep"],
            env={
                "PATH": os.defpath,
                "HOME": str(tmp_path),
                "FACES_JOBS_DATA_FOLDER": str(settings.data_folder),
                "FACES_JOBS_DATABASE_URL": sqlite_database_url,
                "FACES_JOBS_SWEEP_SECONDS": "0.2",
            },
        )
        try:
            messages = settings.data_folder / "queue" / "messages"
            wait_for(lambda: messages.is_dir() and any(messages.iterdir()))
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT_SECONDS) == 0
        finally:
            process.kill()
            process.wait()
        with database.read() as session:
            assert session.scalar(select(SegmentRow.last_rung_at)) is not None
    assert len(list(messages.iterdir())) == len(job.segments)
