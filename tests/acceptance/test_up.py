"""`faces-jobs up`: one command starts everything, one signal ends it, what dies comes back."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from faces_jobs.cli import exits
from faces_jobs.client import Client
from tests.acceptance.service import RunningService, running_service
from tests.clips import moving, write_video
from tests.ports import free_port
from tests.services import PATIENCE_SECONDS


def commands(process: psutil.Process) -> list[tuple[str, int]]:
    """The roles of a running `up`, in order, and their process ids (the web's workers aside)."""
    found = []
    for child in process.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if line := child.cmdline():  # empty between a process's end and its burial
                found.append((line[-1], child.pid))
    return sorted(found)


def pid_of(role: str, process: psutil.Process) -> int:
    """The one process of a role."""
    (pid,) = [pid for name, pid in commands(process) if name == role]
    return pid


def assert_ends_with_all_others(service: RunningService, ending: signal.Signals) -> None:
    family = psutil.Process(service.process.pid).children(recursive=True)
    service.process.send_signal(ending)
    assert service.process.wait(PATIENCE_SECONDS) == 0, service.log.read_text()
    _, alive = psutil.wait_procs(family, timeout=PATIENCE_SECONDS)
    assert not alive
    assert "Traceback" not in service.log.read_text()


def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        up = psutil.Process(service.process.pid)
        assert [role for role, _ in commands(up)] == ["sweep", "web", "worker"]
        assert_ends_with_all_others(service, signal.SIGINT)


def test_as_many_workers_as_asked_for_are_kept_up_until_it_is_told_to_end(tmp_path: Path) -> None:
    roles = ["sweep", "web", "worker", "worker"]
    with running_service(tmp_path, "--workers", "2") as service:
        up = psutil.Process(service.process.pid)
        before = commands(up)
        assert [role for role, _ in before] == roles
        dead = before[-1]
        psutil.Process(dead[1]).kill()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while dead in commands(up) or [role for role, _ in commands(up)] != roles:
            assert time.monotonic() < deadline, service.log.read_text()
            time.sleep(0.1)
        assert set(before) - set(commands(up)) == {dead}, "the others go on"
        assert_ends_with_all_others(service, signal.SIGTERM)


def test_told_twice_it_waits_for_nobody(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        up = psutil.Process(service.process.pid)
        family = up.children(recursive=True)
        stuck = psutil.Process(pid_of("worker", up))
        stuck.suspend()  # it will not answer, whatever it is told
        service.process.send_signal(signal.SIGTERM)
        gone, _ = psutil.wait_procs(
            [one for one in family if one != stuck], timeout=PATIENCE_SECONDS
        )
        assert gone, "the first is heard, and the others end"
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(PATIENCE_SECONDS) == 0, service.log.read_text()
        assert not stuck.is_running()
        assert "did not stop in time" in service.log.read_text()


def test_what_a_killed_worker_held_goes_on_at_once(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", moving(400))
    # With a lease of an hour only who saw the worker die can free what it held.
    with (
        running_service(tmp_path, lease_seconds="3600", retry_seconds="0", sweep_seconds="1") as up,
        Client(up.url) as client,
    ):
        job = client.submit_files([("clip.mp4", clip)], {"smallest_face": "4"})
        deadline = time.monotonic() + PATIENCE_SECONDS
        while client.job(job.id).progress.frames_done == 0:
            assert time.monotonic() < deadline, up.log.read_text()
            time.sleep(0.05)
        psutil.Process(pid_of("worker", psutil.Process(up.process.pid))).kill()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not client.job(job.id).status.ended:
            assert time.monotonic() < deadline, up.log.read_text()
            time.sleep(0.2)
        assert client.job(job.id).status == "succeeded"
        assert "its worker was killed (SIGKILL)" in up.log.read_text()


@pytest.mark.parametrize("command", ["up", "web", "demo"])
def test_a_port_that_is_taken_ends_it_with_one_clear_error(
    tmp_path: Path, sqlite_template: Path, command: str
) -> None:
    data = tmp_path / "data"
    if command == "web":  # which makes no database by itself
        data.mkdir()
        shutil.copy(sqlite_template, data / "faces_jobs.db")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = subprocess.run(
            [sys.executable, "-m", "faces_jobs", command],
            env={
                "PATH": os.defpath,
                "FACES_JOBS_DATA_FOLDER": str(data),
                "FACES_JOBS_PORT": str(port),
            },
            capture_output=True,  # read to its end: nothing that was started holds it open
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
    assert refused.returncode == exits.FAILED
    assert refused.stderr == (
        f"Error: Port {port} of 127.0.0.1 is in use by another program: stop that program, or "
        "choose another port with FACES_JOBS_PORT.\n"
    )
    assert not refused.stdout
    assert data.exists() == (command == "web"), "it was begun with something"


def test_others_are_not_let_in_without_a_token(tmp_path: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "faces_jobs", "up"],
        env={
            "FACES_JOBS_HOST": "0.0.0.0",
            "FACES_JOBS_PORT": str(free_port()),
            "FACES_JOBS_DATA_FOLDER": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == exits.USAGE
    assert "FACES_JOBS_ACCESS_TOKEN" in refused.stderr
