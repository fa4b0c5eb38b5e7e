"""`faces-jobs run --detector`: the choice reaches the catalog, before anything is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from faces_jobs.cli import cli
from faces_jobs.errors import ModelError


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(["--detector", "yunet"], {}), ([], {"FACES_JOBS_DETECTOR": "yunet"})],
    ids=["option", "setting"],
)
def test_a_detector_that_was_not_fetched_is_told(
    arguments: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "picture.png")
    places = ["--inputs-path", str(tmp_path / "picture.png"), "--outputs-path", str(tmp_path / "o")]
    told = CliRunner().invoke(cli, ["run", *places, *arguments], env=environment)
    assert isinstance(told.exception, ModelError)
    assert "faces-jobs models fetch yunet" in str(told.exception)


def test_an_unknown_detector_is_wrong_usage() -> None:
    told = CliRunner().invoke(cli, ["run", "--detector", "mtcnn"])
    assert told.exit_code == 2
    assert "own" in told.output
