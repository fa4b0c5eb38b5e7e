"""`faces-jobs run` on a full disk says where space is needed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image

from faces_jobs.cli import cli, exits


def test_the_folders_that_need_space_are_named(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "a.png")
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    # The copy is written under this name first, and every write to this device meets a full disk.
    (outputs / "a.png.annotated.png.part").symlink_to("/dev/full")
    places = [str(tmp_path / "a.png"), "--outputs-path", str(outputs), "--detector", "own"]
    told = CliRunner().invoke(cli, ["run", *places, "--device", "cpu"])
    assert told.exit_code == exits.FAILED
    assert f"a.png: There is no space left in {outputs} or" in told.stderr
    assert tempfile.gettempdir() in told.stderr
