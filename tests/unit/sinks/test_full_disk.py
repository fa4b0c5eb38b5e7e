"""A disk that is full is told as such, wherever faces are being kept when there is no room."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

KEEP = """
import sys
from pathlib import Path

import numpy as np

from faces_jobs.errors import StorageFullError
from faces_jobs.jobs.records import FaceRecord
from faces_jobs.pipeline.values import Face, Frame
from faces_jobs.sinks.findings import Findings
from faces_jobs.sinks.spool import FaceSpool

folder, frames = Path(sys.argv[1]), int(sys.argv[2])
picture = np.zeros((64, 64, 3), np.uint8)
face = Face(FaceRecord(0, 0.0, 0, 1, (1.0, 2.0, 30.0, 40.0), 0.9, {}), {}, {})
with (folder / "fill").open("wb", buffering=0) as fill:
    try:
        while fill.write(bytes(4096)):
            pass
    except OSError:
        pass
for sink in (FaceSpool(folder / "spool"), Findings(folder / "found", {"header": "x" * 100})):
    try:
        with sink:
            for index in range(frames):
                sink.add(Frame(index, index * 40.0, picture), [face], analysed=True)
            sink.finish([])
    except StorageFullError:
        print("told", type(sink).__name__)
"""


@pytest.mark.parametrize("frames", [0, 3, 300])
def test_a_full_disk_is_told_by_all_that_keeps_faces(tmp_path: Path, frames: int) -> None:
    # A disk that only this process sees, and that goes away with it.
    own_disk = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=64k tmpfs {shlex.quote(str(tmp_path))}"
    if subprocess.run([*own_disk, mount], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small disk of its own")
    keep = shlex.join([sys.executable, "-c", KEEP, str(tmp_path), str(frames)])
    done = subprocess.run(
        [*own_disk, f"{mount} && {keep}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    nothing_to_keep = "told Findings\n"  # but its header
    assert done.stdout == ("told FaceSpool\ntold Findings\n" if frames else nothing_to_keep)
