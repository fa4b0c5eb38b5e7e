"""The commands that talk to a server: `faces-jobs web` answers them, and no worker works."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from faces_jobs.cli import exits
from faces_jobs.client import Client
from faces_jobs.db.session import open_database
from faces_jobs.settings import Settings
from faces_jobs.storage import open_storage
from tests.acceptance.web import RunningWeb, running_web
from tests.unit.web import worked
from tests.unit.web.media_files import png


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[RunningWeb]:
    folder = tmp_path_factory.mktemp("web")
    with running_web(folder, sqlite_template, min_free_bytes="0") as web:
        yield web


@pytest.fixture(scope="module")
def job(server: RunningWeb, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A job with two tracks of six faces: a woman's and a man's."""
    photo = tmp_path_factory.mktemp("photo") / "clip.png"
    photo.write_bytes(png())
    with Client(server.url) as client:
        job_id = client.submit_files([(photo.name, photo)], {}).id
    settings = Settings(data_folder=server.data)
    with open_database(settings.database) as database:
        worked.finish(database, open_storage(settings), job_id)
    return job_id


def faces_jobs(
    server: RunningWeb, *arguments: str | Path, prefix: tuple[str, ...] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, sys.executable, "-m", "faces_jobs", *map(str, arguments)],
        env={"PATH": os.defpath, "FACES_JOBS_SERVER_URL": server.url} | variables,
        capture_output=True,
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
def test_every_filter_is_one_of_the_server_s(
    server: RunningWeb, job: str, options: tuple[str, ...], expected: int
) -> None:
    done = faces_jobs(server, "faces", job, *options)
    assert done.returncode == 0, done.stderr
    assert len(list(csv.DictReader(io.StringIO(done.stdout)))) == expected


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_reader_that_goes_away_is_no_error(server: RunningWeb, job: str, form: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "faces_jobs", "faces", job, "--format", form],
        env={"PATH": os.defpath, "FACES_JOBS_SERVER_URL": server.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()  # before it has written anything
        said = process.stderr.read()
    assert (process.returncode, said) == (0, b"")


def test_a_parameter_that_the_server_refuses_is_wrong_usage(server: RunningWeb, job: str) -> None:
    done = faces_jobs(server, "faces", job, "--min-time-ms", "-1")
    assert done.returncode == exits.USAGE
    assert "min_time_ms" in done.stderr


@pytest.mark.parametrize("command", [("faces",), ("faces", "no-such-job"), ("audit",)])
def test_a_refused_question_leaves_no_table(server: RunningWeb, command: tuple[str, ...]) -> None:
    refusal = ("--min-time-ms", "-1") if command == ("faces",) else ()
    asked = "http://127.0.0.1:1" if command == ("audit",) else server.url
    done = faces_jobs(server, *command, *refusal, FACES_JOBS_SERVER_URL=asked)
    assert done.returncode != exits.OK
    assert done.stdout == ""


def test_a_folder_has_more_files_than_a_process_may_open(
    server: RunningWeb, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(100):
        (folder / f"{number}.png").write_bytes(png())
    of_64_files = ("sh", "-c", 'ulimit -n 64; exec "$@"', "sh")
    done = faces_jobs(server, "submit", folder, prefix=of_64_files)
    assert done.returncode == 0, done.stderr
    with Client(server.url) as client:
        assert client.job(done.stdout.strip()).item_count == 100
        sizes = {item.bytes for item in client.items(done.stdout.strip())}
    assert sizes == {len(png())}


def test_a_folder_that_can_not_be_made_is_told(
    server: RunningWeb, job: str, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"any")
    done = faces_jobs(server, "download", job, "--to", file / "below")
    told = f"Error: {file}/below: Not a directory\n"
    assert (done.returncode, done.stderr) == (exits.FAILED, told)
