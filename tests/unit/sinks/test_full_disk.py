"""Sinks that store faces report a full disk as such, at whatever point they meet it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

STORE_FACES = """
import sys
from pathlib import Path

import numpy as np

from faces_jobs.errors import StorageFullError
from faces_jobs.jobs.records import FaceRecord, TrackRecord
from faces_jobs.pipeline.values import Face, Frame
from faces_jobs.sinks.findings import Findings
from faces_jobs.sinks.spool import FaceSpool
from faces_jobs.sinks.thumbnails import Thumbnails

folder, frames = Path(sys.argv[1]), int(sys.argv[2])
picture = np.zeros((64, 64, 3), np.uint8)
box = (1.0, 2.0, 30.0, 40.0)
face = Face(FaceRecord(0, 0.0, 0, 1, box, 0.9, {}), {}, {})
track = TrackRecord(1, 0, 0, 0.0, 0.0, 1, 0.9, 0, 0.0, box, {})
with (folder / "fill").open("wb", buffering=0) as fill:
    try:
        while fill.write(bytes(4096)):
            pass
    except OSError:
        pass
for sink in (
    FaceSpool(folder / "spool"),
    Findings(folder / "found", {"header": "x" * 100}),
    Thumbnails(folder),
):
    try:
        with sink:
            for index in range(frames):
                sink.add(Frame(index, index * 40.0, picture), [face], analysed=True)
            sink.finish([track])
    except StorageFullError:
        print("reported by", type(sink).__name__)
"""


@pytest.mark.parametrize("frames", [0, 3, 300])
def test_a_full_disk_is_reported_by_every_sink_that_stores_faces(
    tmp_path: Path, frames: int
) -> None:
    # A small disk in a mount namespace of its own, which ends with the process.
    own_disk = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=64k tmpfs {shlex.quote(str(tmp_path))}"
    if subprocess.run([*own_disk, mount], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    store = shlex.join([sys.executable, "-c", STORE_FACES, str(tmp_path), str(frames)])
    done = subprocess.run(
        [*own_disk, f"{mount} && {store}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # Findings write a header even without faces.
    sinks = ["FaceSpool", "Findings", "Thumbnails"] if frames else ["Findings"]
    assert done.stdout.split("\n")[:-1] == [f"reported by {sink}" for sink in sinks]
