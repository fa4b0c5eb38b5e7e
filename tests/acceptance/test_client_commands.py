"""The commands that send requests to a server, against `faces-jobs web` without workers."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import psutil
import pytest
from click.testing import CliRunner
from sqlalchemy import select

from faces_jobs.cli import cli, exits
from faces_jobs.client.api import Client
from faces_jobs.db.session import open_database
from faces_jobs.db.tables import ArtifactRow
from faces_jobs.jobs.status import JobStatus
from faces_jobs.settings import Settings
from faces_jobs.storage import open_storage
from tests.acceptance.web import RunningWeb, running_web
from tests.services import TIMEOUT_SECONDS
from tests.unit.web import worked
from tests.unit.web.media_files import png


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[RunningWeb]:
    folder = tmp_path_factory.mktemp("web")
    with running_web(folder, sqlite_template, min_free_bytes="0") as web:
        yield web


@pytest.fixture(scope="module")
def job(server: RunningWeb, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A finished job with two tracks of six faces each, one female and one male."""
    photo = tmp_path_factory.mktemp("photo") / "clip.png"
    return finished_job(server, photo)


def finished_job(server: RunningWeb, photo: Path) -> str:
    """Write a photograph to this path, submit it, and finish its job with the rows of `worked`."""
    photo.write_bytes(png())
    with Client(server.url) as client:
        job_id = client.submit_files([(photo.name, photo)], {}).id
    settings = Settings(data_folder=server.data)
    with open_database(settings.database) as database:
        worked.finish(database, open_storage(settings), job_id)
    return job_id


def faces_jobs(
    server: RunningWeb,
    *arguments: str | Path,
    prefix: tuple[str, ...] = (),
    typed: str | None = None,
    stderr: int = subprocess.PIPE,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, sys.executable, "-m", "faces_jobs", *map(str, arguments)],
        env={"PATH": os.defpath, "FACES_JOBS_SERVER_URL": server.url} | variables,
        input=typed,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), 12),
        (("--gender", "female", "--min-probability", "0.7"), 3),
        (("--expression", "anger"), 0),
        (("--illumination", "high", "--pose", "frontal", "--occlusion", "none"), 12),
        (("--age", "young", "--makeup", "partial"), 12),
        (("--track", "2"), 6),
        (("--min-time-ms", "1000", "--max-time-ms", "1500"), 4),
        (("--min-score", "0.7"), 6),
        (("--item", "1"), 12),
        (("--item", "7"), 0),
        (("--item-id", "7"), 0),
    ],
)
def test_every_filter_option_is_applied_by_the_server(
    server: RunningWeb, job: str, options: tuple[str, ...], expected: int
) -> None:
    # In this process, because starting one takes longer than all these filters.
    runner = CliRunner(env={"FACES_JOBS_SERVER_URL": server.url})
    done = runner.invoke(cli, ["faces", job, *options], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    assert len(list(csv.DictReader(io.StringIO(done.stdout)))) == expected


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_closed_output_pipe_is_not_an_error(server: RunningWeb, job: str, form: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "faces_jobs", "faces", job, "--format", form],
        env={"PATH": os.defpath, "FACES_JOBS_SERVER_URL": server.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()  # before the command has written anything
        errors = process.stderr.read()
    assert (process.returncode, errors) == (0, b"")


@pytest.mark.parametrize(
    "options",
    [
        ("--min-time-ms", "-1"),
        ("--min-probability", "2", "--gender", "female", "--age", "young"),
        ("--item", "-1"),
    ],
)
def test_an_option_that_the_server_rejects_is_a_usage_error(
    server: RunningWeb, job: str, options: tuple[str, ...]
) -> None:
    done = faces_jobs(server, "faces", job, *options)
    assert done.returncode == exits.USAGE
    assert f"{options[0]}: " in done.stderr
    assert "_" not in done.stderr


@pytest.mark.parametrize("command", [("faces",), ("faces", "no-such-job"), ("audit",)])
def test_a_failed_request_prints_no_table_header(
    server: RunningWeb, command: tuple[str, ...]
) -> None:
    invalid = ("--min-time-ms", "-1") if command == ("faces",) else ()
    url = "http://127.0.0.1:1" if command == ("audit",) else server.url
    done = faces_jobs(server, *command, *invalid, FACES_JOBS_SERVER_URL=url)
    assert done.returncode != exits.OK
    assert done.stdout == ""


def test_a_folder_may_hold_more_files_than_a_process_may_open(
    server: RunningWeb, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(100):
        (folder / f"{number}.png").write_bytes(png())
    limited_to_64_files = ("sh", "-c", 'ulimit -n 64; exec "$@"', "sh")
    done = faces_jobs(server, "submit", folder, prefix=limited_to_64_files)
    assert done.returncode == 0, done.stderr
    with Client(server.url) as client:
        assert client.job(done.stdout.strip()).item_count == 100
        sizes = {item.bytes for item in client.items(done.stdout.strip())}
    assert sizes == {len(png())}


def test_an_upload_shows_on_a_terminal_how_much_is_sent(server: RunningWeb, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(png())
    controller, terminal = os.openpty()
    with ThreadPoolExecutor() as pool:
        # Read all the time: a terminal holds only a few kilobytes, and a read may return fewer.
        reading = pool.submit(_read_terminal, controller)
        try:
            done = faces_jobs(server, "submit", photo, stderr=terminal)
        finally:
            os.close(terminal)
        shown = reading.result()
    os.close(controller)
    assert done.returncode == 0, shown
    assert "sending" in shown
    assert f"{len(png())}/{len(png())} bytes" in shown


def _read_terminal(controller: int) -> str:
    """Read what is written to a terminal until all its users have closed it."""
    shown = b""
    with contextlib.suppress(OSError):  # EIO: it was closed
        while read := os.read(controller, 65536):
            shown += read
    return shown.decode()


def test_waiting_for_an_unknown_job_prints_only_the_error(server: RunningWeb) -> None:
    done = faces_jobs(server, "wait", str(uuid.uuid4()))
    assert done.returncode == exits.NOT_FOUND
    assert done.stderr.startswith("Error: ")


def test_names_that_cannot_be_shown_are_replaced_as_by_run(
    server: RunningWeb, tmp_path: Path
) -> None:
    for name in (b"caf\xe9.png", b"two\nlines.png"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(png())
    done = faces_jobs(server, "submit", tmp_path)
    assert done.returncode == 0, done.stderr
    with Client(server.url) as client:
        names = [item.name for item in client.items(done.stdout.strip())]
    assert names == [f"{tmp_path.name}/{name}" for name in ("caf?.png", "two_lines.png")]


def test_a_target_folder_that_can_not_be_created_is_an_error(
    server: RunningWeb, job: str, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"any")
    done = faces_jobs(server, "download", job, "--to", file / "below")
    message = f"Error: {file}/below: Not a directory\n"
    assert (done.returncode, done.stderr) == (exits.FAILED, message)


def files_of(server: RunningWeb, job: str, kind: str) -> list[Path]:
    """The paths at which the server stores the artifacts of a kind."""
    with open_database(Settings(data_folder=server.data).database) as database:
        statement = select(ArtifactRow.storage_key).where(
            ArtifactRow.job_id == job, ArtifactRow.kind == kind
        )
        with database.read() as session:
            return [server.data / "files" / key for key in session.scalars(statement)]


def test_a_missing_file_does_not_stop_other_downloads(
    server: RunningWeb, job: str, tmp_path: Path
) -> None:
    (kept,) = files_of(server, job, "annotated_video")
    aside = kept.rename(tmp_path / "aside")
    done = faces_jobs(server, "download", job, "--to", tmp_path / "all")
    alone = faces_jobs(
        server, "download", job, "--to", tmp_path / "one", "--kind", "annotated_video"
    )
    aside.rename(kept)
    assert done.returncode == exits.SOME_FAILED
    assert "clip.png.mp4: The file of artifact" in done.stderr
    assert len(done.stdout.split()) == len(list((tmp_path / "all").iterdir())) == 3
    assert alone.returncode == exits.FAILED
    assert list((tmp_path / "one").iterdir()) == []


def test_a_download_before_the_end_of_the_job_says_that_it_is_incomplete(
    server: RunningWeb, job: str, tmp_path: Path
) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(png())
    with Client(server.url) as client:
        open_job = client.submit_files([(photo.name, photo)], {}).id
    early = faces_jobs(server, "download", open_job, "--to", tmp_path / "early")
    done = faces_jobs(server, "download", job, "--to", tmp_path / "all")
    with Client(server.url) as client:
        client.delete(open_job)
    assert (early.returncode, early.stdout) == (exits.OK, "")
    assert "has not ended (queued)" in early.stderr
    assert f"faces-jobs wait {open_job}" in early.stderr
    assert (done.returncode, done.stderr) == (exits.OK, "")


def test_a_download_whose_checksum_differs_is_discarded(
    server: RunningWeb, job: str, tmp_path: Path
) -> None:
    (kept,) = files_of(server, job, "faces_csv")
    content = kept.read_bytes()
    kept.write_bytes(content.replace(b"face.png", b"fade.png"))
    done = faces_jobs(server, "download", job, "--to", tmp_path, "--kind", "faces_csv")
    kept.write_bytes(content)
    assert done.returncode == exits.FAILED
    assert "faces.csv is not the file that the server recorded" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_empty_idempotency_key_is_rejected(server: RunningWeb, tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(png())
    done = faces_jobs(server, "submit", photo, "--idempotency-key", "")
    assert done.returncode == exits.USAGE
    assert "--idempotency-key: " in done.stderr


def test_csv_output_escapes_names_that_look_like_formulas(
    server: RunningWeb, tmp_path: Path
) -> None:
    job_id = finished_job(server, tmp_path / "=1+1.png")
    done = faces_jobs(server, "faces", job_id)
    with Client(server.url) as client:
        client.delete(job_id)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert {row["item"] for row in rows} == {"'=1+1.png"}


@pytest.mark.parametrize(
    ("typed", "code", "message"),
    [("n\n", exits.FAILED, "Nothing was deleted."), ("", exits.INTERRUPTED, "--yes to delete")],
)
def test_a_job_is_not_deleted_without_confirmation(
    server: RunningWeb, job: str, typed: str, code: int, message: str
) -> None:
    done = faces_jobs(server, "delete", job, typed=typed)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    with Client(server.url) as client:
        assert client.job(job).id == job


def test_commands_that_change_a_job_print_its_document(server: RunningWeb, tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(png())
    with Client(server.url) as client:
        job_id = client.submit_files([(photo.name, photo)], {}).id
        for command, status in (
            (("pause", job_id), "paused"),
            (("priority", job_id, "high"), "paused"),
            (("resume", job_id), "queued"),
            (("cancel", job_id), "cancelled"),
            (("retry", job_id), "queued"),
        ):
            done = faces_jobs(server, *command, "--json")
            assert done.returncode == 0, done.stderr
            document = json.loads(done.stdout)
            assert (document["status"], document["options"]["priority"]) == (
                status,
                "normal" if command[0] == "pause" else "high",
            )
            assert document == client.job(job_id).model_dump(mode="json")


def test_a_deletion_and_the_audit_are_printed_as_json(server: RunningWeb, tmp_path: Path) -> None:
    nothing = faces_jobs(server, "audit", "no-such-job", "--json")
    assert (nothing.returncode, json.loads(nothing.stdout)) == (0, [])
    job_id = finished_job(server, tmp_path / "a.png")
    deleted = faces_jobs(server, "delete", job_id, "--yes", "--json")
    assert deleted.returncode == 0, deleted.stderr
    entry = json.loads(deleted.stdout)
    assert (entry["job_id"], entry["by"]) == (job_id, "api")
    assert entry["verified_at"] is not None
    listed = faces_jobs(server, "audit", job_id, "--json")
    assert json.loads(listed.stdout) == [entry]
    assert entry in json.loads(faces_jobs(server, "audit", "--json").stdout)


def test_following_a_job_survives_a_server_that_dies(tmp_path: Path, sqlite_template: Path) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(png())
    with (
        running_web(tmp_path / "web", sqlite_template, min_free_bytes="0") as web,
        Client(web.url) as client,
        ThreadPoolExecutor() as threads,
    ):
        job_id = client.submit_files([(photo.name, photo)], {}).id
        seen: SimpleQueue[JobStatus] = SimpleQueue()

        def follow() -> None:
            with Client(web.url) as follower:
                for job in follower.follow(job_id):
                    seen.put(job.status)

        following = threads.submit(follow)
        assert seen.get(timeout=TIMEOUT_SECONDS) is JobStatus.QUEUED
        time.sleep(0.5)  # by now its next request is waiting in the server
        (handler,) = psutil.Process(web.process.pid).children()
        handler.kill()
        handler.wait(TIMEOUT_SECONDS)
        client.cancel(job_id)
        following.result(TIMEOUT_SECONDS)
    assert JobStatus.CANCELLED in [seen.get() for _ in range(seen.qsize())]
