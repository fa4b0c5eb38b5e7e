"""`faces-jobs demo`: without a terminal it prints its results and ends, else it keeps serving."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import av
import pytest

from faces_jobs.client.api import Client
from faces_jobs.sample import RATE, SECONDS
from tests.ports import free_port
from tests.services import TIMEOUT_SECONDS

pytestmark = pytest.mark.timeout(900)  # processes a whole clip, on a busy machine too

# The demo, but with a fifth of the frames in its clip.
DEMO_WITH_FEWER_FRAMES = """
import sys
from faces_jobs import sample
from faces_jobs.cli import main

sample.RATE //= 5
sys.argv = ["faces-jobs", "demo"]
main()
"""


def test_the_demo_shows_its_results_and_exits_without_a_terminal(tmp_path: Path) -> None:
    port = free_port()
    done = subprocess.run(
        [sys.executable, "-c", DEMO_WITH_FEWER_FRAMES],
        env={
            "PATH": os.defpath,
            "HOME": str(tmp_path),
            "FACES_JOBS_DATA_FOLDER": str(tmp_path / "var"),
            "FACES_JOBS_PORT": str(port),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "shutdown" not in done.stdout + done.stderr
    assert "not a terminal" in done.stdout.splitlines()[-1]
    assert "faces-jobs up" in done.stdout.splitlines()[-1]
    tracks = re.findall(r"sample\.mp4 │ (\d+) .*?(female \d+%|male \d+%|unsure) ", done.stdout)
    assert [int(number) for number, _ in tracks] == [1, 2, 3, 4], done.stdout
    assert sum(gender.startswith("female") for _, gender in tracks) >= 3, done.stdout
    outputs = re.findall(r"^(\S+)  (http://\S+)$", done.stdout, re.MULTILINE)
    assert all(url.startswith(f"http://127.0.0.1:{port}/api/v1/jobs/") for _, url in outputs)
    paths = [Path(path) for path, _ in outputs]
    assert all(path.stat().st_size for path in paths)
    annotated = next(path for path in paths if path.suffix == ".mp4")
    with av.open(str(annotated)) as container:
        assert sum(1 for _ in container.decode(video=0)) == SECONDS * RATE // 5


def test_the_demo_serves_until_ctrl_c_on_a_terminal(tmp_path: Path) -> None:
    port = free_port()
    terminal, child_end = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", DEMO_WITH_FEWER_FRAMES],
        env={
            "PATH": os.defpath,
            "HOME": str(tmp_path),
            "TERM": "xterm",
            "OMP_NUM_THREADS": "1",
            # Fixed: measuring the best sizes would take longer than the run.
            "FACES_JOBS_FRAMES_A_RUN": "1",
            "FACES_JOBS_CROPS_A_RUN": "16",
            "FACES_JOBS_DATA_FOLDER": str(tmp_path / "var"),
            "FACES_JOBS_PORT": str(port),
        },
        stdin=child_end,
        stdout=child_end,
        stderr=child_end,
    ) as process:
        os.close(child_end)
        shown = read_until(terminal, "Ctrl-C to stop")
        assert "100%" in shown, "the progress bar reaches its end"
        with Client(f"http://127.0.0.1:{port}") as client:
            assert client.is_up()
            assert [job.status.value for job in client.jobs(limit=5).jobs] == ["succeeded"]
        process.send_signal(signal.SIGINT)
        drain(terminal)
        assert process.wait(TIMEOUT_SECONDS) == 0
        with Client(f"http://127.0.0.1:{port}") as client:
            assert not client.is_up()


def read_until(terminal: int, end: str) -> str:
    """Read the terminal's output up to and including `end`."""
    shown = ""
    while end not in shown:
        shown += os.read(terminal, 4096).decode("utf-8", "replace")
    return shown


def drain(terminal: int) -> None:
    """Read the remaining output until the other end of the terminal is closed."""
    with contextlib.suppress(OSError):  # Linux raises EIO at the end, other systems return no bytes
        while os.read(terminal, 4096):
            pass
    os.close(terminal)
