"""Where items are read from: uploads that are gone, files that lie on the server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from faces_jobs.results import (
    get_job,
)
from faces_jobs.retention import delete_job
from faces_jobs.submit import submit_folder
from tests.integration.workbench import SMALL, Bench


def test_an_upload_that_is_gone_is_told(bench: Bench, photo: Path) -> None:
    job_id = bench.submit(photo)
    for path in bench.worker.storage.folder.rglob("uploads/*"):
        path.unlink()

    bench.work(job_id)

    (item,) = bench.items(job_id)
    assert item.error is not None
    assert "does not exist any more" in item.error.message


# Files of the server


@pytest.fixture
def rooted(bench: Bench, photo: Path, tmp_path: Path) -> Bench:
    """The bench with a root that holds one photograph."""
    root = tmp_path / "root"
    root.mkdir()
    photo.rename(root / "photo.png")
    bench.worker = replace(
        bench.worker, settings=bench.worker.settings.model_copy(update={"roots": {"films": root}})
    )
    return bench


def submit_root(bench: Bench) -> str:
    worker = bench.worker
    return submit_folder(
        "films",
        "",
        SMALL,
        database=worker.database,
        storage=worker.storage,
        queue=worker.queue,
        settings=worker.settings,
    ).job_id


def test_a_server_s_file_is_read_where_it_lies(rooted: Bench) -> None:
    job_id = submit_root(rooted)
    rooted.work(job_id)

    assert get_job(rooted.worker.database, job_id).status == "succeeded"
    delete_job(job_id, database=rooted.worker.database, storage=rooted.worker.storage)
    assert (rooted.worker.settings.roots["films"] / "photo.png").exists()


@pytest.mark.parametrize("change", ["content", "link", "gone", "root"])
def test_a_server_s_file_that_changed_is_an_error(
    rooted: Bench, change: str, tmp_path: Path
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
