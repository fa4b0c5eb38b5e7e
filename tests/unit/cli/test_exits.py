"""Exit codes that scripts can use."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from faces_jobs.cli import exits
from faces_jobs.jobs.status import JobStatus

# A port that nothing listens on: reserved, and never given out by the system.
NOBODY = "http://127.0.0.1:1"


def faces_jobs(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "faces_jobs", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={f"FACES_JOBS_{name}": value for name, value in variables.items()},
    )


def test_no_server_is_told_apart(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"any")
    for command in (("status", "a-job"), ("wait", "a-job"), ("submit", str(photo))):
        ended = faces_jobs(*command, SERVER_URL=NOBODY)
        assert ended.returncode == exits.NO_SERVER
        assert "faces-jobs up" in ended.stderr
        assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (("submit",), {}, "Name files or folders"),
        (("submit", "/nowhere"), {}, "does not exist"),
        (("submit", "/dev/null"), {}, "neither a file nor a folder"),
        (("submit", __file__, "--frame-stride", "0"), {}, "--frame-stride: "),
        (("submit", __file__, "--models", "1,2"), {}, "--models: "),
        (("status", "--colour"), {}, "No such option"),
        (("paint",), {}, "No such command"),
        (("status",), {"PORT": "many"}, "FACES_JOBS_PORT"),
        (("web",), {"HOST": "0.0.0.0"}, "FACES_JOBS_ACCESS_TOKEN"),
        (("web",), {"ACCESS_TOKEN": "sésame-ouvre-toi-vite"}, "ASCII"),
        (("db", "version"), {"DATABASE_URL": "nonsense"}, "FACES_JOBS_DATABASE_URL"),
        (("db", "version"), {"DATABASE_URL": "postgresql://h:port/d"}, "FACES_JOBS_DATABASE_URL"),
        (("db", "upgrade"), {"DATABASE_URL": "oracle://h/d"}, "use SQLite or PostgreSQL"),
    ],
)
def test_wrong_usage_is_2(arguments: tuple[str, ...], variables: dict[str, str], said: str) -> None:
    ended = faces_jobs(*arguments, **variables)
    assert ended.returncode == exits.USAGE
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_jobs_state_is_an_exit_code() -> None:
    assert {status: exits.code_of_status(status) for status in JobStatus if status.ended} == {
        JobStatus.SUCCEEDED: 0,
        JobStatus.SUCCEEDED_WITH_ERRORS: 3,
        JobStatus.FAILED: 1,
        JobStatus.CANCELLED: 1,
    }


def test_what_the_system_refuses_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"any")
    ended = faces_jobs("run", str(file), "--outputs-path", f"{file}/below")
    assert ended.returncode == exits.FAILED
    assert ended.stderr == f"Error: {file}/below: Not a directory\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", __file__, "--outputs-path"),
        ("download", "a-job", "--to"),
        ("train", "gender", "--out"),
    ],
)
def test_a_folder_that_may_not_be_written_to_is_told_before_the_work(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    folder = shlex.quote(str(tmp_path))
    # Even root can't write to a file system that is mounted read-only, here for one process.
    own_disk = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o ro tmpfs {folder}"
    if subprocess.run([*own_disk, mount], capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system is not permitted here")
    command = shlex.join([sys.executable, "-m", "faces_jobs", *arguments])
    ended = subprocess.run(
        [*own_disk, f"{mount} && {command} {folder}"],
        capture_output=True,
        text=True,
        check=False,
        env={"FACES_JOBS_SERVER_URL": NOBODY},
    )
    assert ended.returncode == exits.USAGE
    assert f"'{tmp_path}' is not writable" in ended.stderr


def test_a_file_that_may_not_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "vanished").symlink_to("/proc/self/mem")  # even root reads nothing there
    ended = faces_jobs("submit", str(tmp_path / "vanished"), SERVER_URL=NOBODY)
    assert ended.returncode == exits.FAILED
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
@pytest.mark.parametrize("arguments", [("--help",), ("db", "version")])
def test_output_that_can_not_be_written_is_told(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "faces_jobs", *arguments],
            env={"FACES_JOBS_DATA_FOLDER": str(tmp_path)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == exits.FAILED
    assert ended.stderr == "Error: No space left on device\n"


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"])
@pytest.mark.parametrize("arguments", ["--help", "models list"])
def test_an_output_that_is_closed_is_no_error(closed: str, arguments: str) -> None:
    ended = subprocess.run(
        f"'{sys.executable}' -m faces_jobs {arguments} {closed}",
        shell=True,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


PRINT_A_NAME = """
import click
from faces_jobs import cli

@cli.cli.command("print")
@click.argument("code", type=int)
def print_(code):
    click.echo(f"caf{chr(code)}")

cli.main()
"""


@pytest.mark.parametrize(
    ("encoding", "code", "printed"),
    [
        ("utf-8", 0xE9, "caf\u00e9".encode()),
        ("utf-8", 0xDCE9, b"caf\xe9"),  # a byte of a path that is no text
        ("latin-1", 0x1F600, b"caf\\U0001f600"),
        ("latin-1", 0xDCE9, b"caf\\udce9"),
    ],
)
def test_every_name_can_be_printed(encoding: str, code: int, printed: bytes) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PRINT_A_NAME, "print", str(code)],
        env={"PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert ended.stdout.strip() == printed, ended.stderr.decode()


def test_a_secret_s_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"\xff" * 20)
    ended = faces_jobs("status", ACCESS_TOKEN_FILE=str(file))
    assert ended.returncode == exits.USAGE
    assert "FACES_JOBS_ACCESS_TOKEN_FILE" in ended.stderr
    assert "UTF-8" in ended.stderr


@pytest.mark.parametrize("command", [("submit",), ("db", "upgrade"), ("models", "fetch", "yunet")])
def test_help_answers_though_a_setting_is_wrong(command: tuple[str, ...]) -> None:
    for names in ("--help", "-h"):
        shown = faces_jobs(*command, names, PROT="8000")
        assert shown.returncode == 0, shown.stderr
        assert "Usage: " in shown.stdout
    ended = faces_jobs("submit", __file__, "--label", "-h", PROT="8000")
    assert ended.returncode == exits.USAGE
    assert "FACES_JOBS_PORT" in ended.stderr


def test_what_fails_leaves_no_empty_folder(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    for command in (
        ("download", "no-such-job", "--to", str(folder)),
        ("models", "fetch", "yunet", "--folder", str(folder), "--url", f"{NOBODY}/yunet.onnx"),
    ):
        ended = faces_jobs(*command, SERVER_URL=NOBODY)
        assert ended.returncode in (exits.FAILED, exits.NO_SERVER)
        assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []
