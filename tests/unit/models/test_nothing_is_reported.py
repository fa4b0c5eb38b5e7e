"""Networks run without a word to anybody: onnxruntime would keep and send what it observes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

OPENED = """
from importlib.resources import files
from faces_jobs_models.onnx_session import OnnxSession

network = files("faces_jobs_models.detector").joinpath("model.onnx")
OnnxSession(network.read_bytes(), name="detector", threads=1)
"""


def test_opening_a_network_leaves_nothing_in_home(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", OPENED],
        env={"PATH": os.defpath, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        check=True,
    )
    assert list(tmp_path.iterdir()) == []
