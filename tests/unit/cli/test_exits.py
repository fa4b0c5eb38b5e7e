"""Exit codes that scripts can use."""

from __future__ import annotations

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
        (("submit", __file__, "--frame-stride", "0"), {}, "frame_stride"),
        (("submit", __file__, "--models", "1,2"), {}, "models"),
        (("status", "--colour"), {}, "No such option"),
        (("paint",), {}, "No such command"),
        (("status",), {"PORT": "many"}, "FACES_JOBS_PORT"),
        (("web",), {"HOST": "0.0.0.0"}, "FACES_JOBS_ACCESS_TOKEN"),
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
