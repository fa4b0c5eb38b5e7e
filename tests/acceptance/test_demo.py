"""`make demo` as a stranger's log sees it: it shows everything and ends by itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import av

from faces_jobs.sample import RATE, SECONDS
from tests.acceptance.service import free_port


def test_the_demo_shows_what_came_of_it_and_ends(tmp_path: Path) -> None:
    port = free_port()
    done = subprocess.run(
        [sys.executable, "-m", "faces_jobs", "demo"],
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
    tracks = re.findall(r"sample\.mp4 │ (\d+) .*(female|male) \d+%", done.stdout)
    assert [int(number) for number, _ in tracks] == [1, 2, 3, 4], done.stdout
    outputs = re.findall(r"^(\S+)  (http://\S+)$", done.stdout, re.MULTILINE)
    assert all(url.startswith(f"http://127.0.0.1:{port}/api/v1/jobs/") for _, url in outputs)
    paths = [Path(path) for path, _ in outputs]
    assert all(path.stat().st_size for path in paths)
    annotated = next(path for path in paths if path.suffix == ".mp4")
    with av.open(str(annotated)) as container:
        assert sum(1 for _ in container.decode(video=0)) == SECONDS * RATE
