"""Sources of items: uploads that are missing, and files of the server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from faces_jobs.results import (
    get_job,
)
from faces_jobs.retention import delete_job
from faces_jobs.submit import submit_folder
from tests.integration.harness import SMALL_FACES, Harness


def test_a_missing_upload_is_reported(harness: Harness, photo: Path) -> None:
    job_id = harness.submit(photo)
    for path in harness.worker.storage.folder.rglob("uploads/*"):
        path.unlink()

    harness.work(job_id)

    (item,) = harness.items(job_id)
    assert item.error is not None
    assert "does not exist any more" in item.error.message


# Files of the server


@pytest.fixture
def rooted(harness: Harness, photo: Path, tmp_path: Path) -> Harness:
    """The harness with a root folder that holds one photograph."""
    root = tmp_path / "root"
    root.mkdir()
    photo.rename(root / "photo.png")
    harness.worker = replace(
        harness.worker,
        settings=harness.worker.settings.model_copy(update={"roots": {"films": root}}),
    )
    return harness


def submit_root(harness: Harness) -> str:
    worker = harness.worker
    return submit_folder(
        "films",
        "",
        SMALL_FACES,
        database=worker.database,
        storage=worker.storage,
        queue=worker.queue,
        settings=worker.settings,
    ).job_id


def test_a_file_of_the_server_is_read_in_place(rooted: Harness) -> None:
    job_id = submit_root(rooted)
    rooted.work(job_id)

    assert get_job(rooted.worker.database, job_id).status == "succeeded"
    delete_job(job_id, database=rooted.worker.database, storage=rooted.worker.storage)
    assert (rooted.worker.settings.roots["films"] / "photo.png").exists()


@pytest.mark.parametrize("change", ["content", "link", "gone", "root"])
def test_a_file_of_the_server_that_changed_is_an_error(
    rooted: Harness, change: str, tmp_path: Path
) -> None:
    job_id = submit_root(rooted)
    path = rooted.worker.settings.roots["films"] / "photo.png"
    if change == "content":
        path.write_bytes(path.read_bytes() + b"x")
    elif change == "link":
        path.rename(tmp_path / "elsewhere.png")
        path.symlink_to(tmp_path / "elsewhere.png")
    elif change == "gone":
        path.unlink()
    else:
        rooted.worker = replace(
            rooted.worker, settings=rooted.worker.settings.model_copy(update={"roots": {}})
        )

    rooted.work(job_id)

    (item,) = rooted.items(job_id)
    assert item.status == "failed"
    assert item.error is not None
    assert str(tmp_path) not in item.error.message
