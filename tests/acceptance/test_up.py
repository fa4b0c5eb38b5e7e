"""`faces-jobs up`: starts all processes, restarts those that die, stops them on a signal."""

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

from faces_jobs.cli import exits, supervisor
from faces_jobs.client.api import Client
from faces_jobs.settings import Settings
from tests.acceptance.service import RunningService, running_service
from tests.clips import moving_squares, write_video
from tests.ports import free_port
from tests.services import TIMEOUT_SECONDS


def commands(process: psutil.Process) -> list[tuple[str, int]]:
    """The direct children of a running `up` as (role, process id), sorted."""
    found = []
    for child in process.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            while not (line := child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.01)  # its program is just being loaded
            if line:
                found.append((line[-1], child.pid))
    return sorted(found)


def pid_of(role: str, process: psutil.Process) -> int:
    """The process id of the only process of a role."""
    (pid,) = [pid for name, pid in commands(process) if name == role]
    return pid


def assert_stops_all_processes(service: RunningService, signal_number: signal.Signals) -> None:
    """Send the signal to `up` and check that it and all its descendants end."""
    descendants = psutil.Process(service.process.pid).children(recursive=True)
    service.process.send_signal(signal_number)
    assert service.process.wait(TIMEOUT_SECONDS) == 0, service.log.read_text()
    _, alive = psutil.wait_procs(descendants, timeout=TIMEOUT_SECONDS)
    assert not alive
    assert "Traceback" not in service.log.read_text()


def test_ctrl_c_stops_all_processes(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        up = psutil.Process(service.process.pid)
        assert [role for role, _ in commands(up)] == ["sweep", "web", "worker"]
        assert_stops_all_processes(service, signal.SIGINT)


def test_a_killed_worker_is_replaced_and_sigterm_stops_all_processes(tmp_path: Path) -> None:
    roles = ["sweep", "web", "worker", "worker"]
    with running_service(tmp_path, "--workers", "2") as service:
        up = psutil.Process(service.process.pid)
        before = commands(up)
        assert [role for role, _ in before] == roles
        dead = before[-1]
        psutil.Process(dead[1]).kill()
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while dead in commands(up) or [role for role, _ in commands(up)] != roles:
            assert time.monotonic() < deadline, service.log.read_text()
            time.sleep(0.1)
        assert set(before) - set(commands(up)) == {dead}, "the other processes keep running"
        assert_stops_all_processes(service, signal.SIGTERM)


@pytest.mark.parametrize("held_work", [True, False])
def test_only_a_worker_that_dies_without_work_ends_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_work: bool
) -> None:
    monkeypatch.setattr(supervisor, "RESTART_DELAY_SECONDS", 0)
    variables = {"FACES_JOBS_DATA_FOLDER": str(tmp_path), "FACES_JOBS_PORT": str(free_port())}
    supervisor.prepare_database(Settings.from_environment(variables))
    with supervisor.Supervisor.started(
        workers=1, environment=variables, record_death=lambda _pid, _code: held_work
    ) as processes:

        def kill_worker() -> None:
            worker = psutil.Process(pid_of("worker", psutil.Process()))
            worker.kill()
            while worker.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.01)
            processes.restart_dead()

        for _ in range(supervisor.MAX_RESTARTS):
            kill_worker()
        if held_work:
            kill_worker()
        else:
            with pytest.raises(supervisor.ProcessDiedError):
                kill_worker()


def test_a_second_signal_kills_processes_that_do_not_end(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        up = psutil.Process(service.process.pid)
        descendants = up.children(recursive=True)
        stuck = psutil.Process(pid_of("worker", up))
        stuck.suspend()  # so that it can't react to a signal
        while stuck.status() != psutil.STATUS_STOPPED:  # else TERM would overtake that
            time.sleep(0.01)
        service.process.send_signal(signal.SIGTERM)
        gone, _ = psutil.wait_procs(
            [one for one in descendants if one != stuck], timeout=TIMEOUT_SECONDS
        )
        assert gone, "the first signal ends the other processes"
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(TIMEOUT_SECONDS) == 0, service.log.read_text()
        assert not stuck.is_running()
        assert "did not stop in time" in service.log.read_text()


def test_the_segment_of_a_killed_worker_is_retried_at_once(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", moving_squares(400))
    # The lease lasts an hour: only the parent, which sees the worker die, can release it earlier.
    with (
        running_service(tmp_path, lease_seconds="3600", retry_seconds="0", sweep_seconds="1") as up,
        Client(up.url) as client,
    ):
        job = client.submit_files([("clip.mp4", clip)], {"smallest_face": "4"})
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while client.job(job.id).progress.frames_done == 0:
            assert time.monotonic() < deadline, up.log.read_text()
            time.sleep(0.05)
        psutil.Process(pid_of("worker", psutil.Process(up.process.pid))).kill()
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not client.job(job.id).status.ended:
            assert time.monotonic() < deadline, up.log.read_text()
            time.sleep(0.2)
        assert client.job(job.id).status == "succeeded"
        assert "its worker was killed (SIGKILL)" in up.log.read_text()


@pytest.mark.parametrize("command", ["up", "web", "demo"])
def test_a_port_in_use_ends_the_command_with_one_clear_error(
    tmp_path: Path, sqlite_template: Path, command: str
) -> None:
    data = tmp_path / "data"
    if command == "web":  # it creates no database itself
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
            capture_output=True,  # reading ends only when no child process holds the pipe open
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
    assert refused.returncode == exits.FAILED
    assert refused.stderr == (
        f"Error: Port {port} of 127.0.0.1 is in use by another program: stop that program, or "
        "choose another port with FACES_JOBS_PORT.\n"
    )
    assert not refused.stdout
    assert data.exists() == (command == "web"), "the address is checked before anything is created"


def test_listening_to_other_machines_requires_an_access_token(tmp_path: Path) -> None:
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
