"""`faces-jobs run` on a full disk says where space is needed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from faces_jobs.cli import cli, exits
from faces_jobs.errors import StorageFullError


@pytest.mark.parametrize("written", ["a.png.annotated.png", "tracks.csv"])
def test_the_folders_that_need_space_are_named(tmp_path: Path, written: str) -> None:
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "a.png")
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    # The file is written under this name first, and every write to this device meets a full disk.
    (outputs / f"{written}.part").symlink_to("/dev/full")
    places = [str(tmp_path / "a.png"), "--outputs-path", str(outputs), "--detector", "own"]
    told = CliRunner().invoke(cli, ["run", *places, "--device", "cpu"])
    assert told.exit_code == exits.FAILED
    if written == "tracks.csv":
        assert isinstance(told.exception, StorageFullError)
        text = str(told.exception)
    else:
        text = told.stderr
        assert "a.png: There is no space" in text
    assert f"There is no space left in {outputs} or" in text
    assert tempfile.gettempdir() in text
