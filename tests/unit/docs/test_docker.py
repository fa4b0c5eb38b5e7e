"""What docker/ says fits the code: settings, commands, extras."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from faces_jobs.cli import cli
from faces_jobs.settings import ENVIRONMENT_PREFIX, Settings
from tests.unit.cli.test_help import commands

ROOT = Path(__file__).parents[3]
FILES = [
    ROOT / "docker" / name
    for name in ("Dockerfile", "compose.yaml", "compose.gpu.yaml", "settings.env")
]
# Read by the compose file itself.
OF_COMPOSE = {"FACES_JOBS_PUBLISH", "FACES_JOBS_SETTINGS_FILE"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_setting_and_command_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    settings = {f"{ENVIRONMENT_PREFIX}{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(r"FACES_JOBS_[A-Z0-9_]+", text))
    assert named - OF_COMPOSE <= settings
    run = re.findall(r'\["(?:CMD", ")?faces-jobs", ([^\]]+)\]', text)
    for words in run:
        path_of = tuple(re.findall(r'"([^"]+)"', words))
        assert path_of in commands(cli) or path_of[:1] == ("health",), path_of


def test_each_image_has_an_extra_of_its_name() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = FILES[0].read_text(encoding="utf-8")
    for wanted in re.findall(r"whl\)\[([a-z,]+)\]", text):
        assert set(wanted.split(",")) <= set(extras["optional-dependencies"])
    assert "USER faces" in text.split("AS web\n")[1].split("FROM")[0]
    assert "USER faces" in text.split("AS worker\n")[1]


def test_workers_stop_before_what_they_hand_their_work_back_to() -> None:
    # compose stops a service when those that name it in `depends_on` have stopped; what they need
    # by way of `migrate`, which ended long ago, it would stop at once.
    shared = FILES[1].read_text(encoding="utf-8").split("\nservices:")[0]
    needed = shared.split("  depends_on:\n")[1]
    assert {"postgres", "redis"} <= set(re.findall(r"^    (\w+):$", needed, re.MULTILINE))
