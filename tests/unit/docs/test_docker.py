"""The files in docker/ use settings, commands and extras that exist."""

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
# Variables of the compose file itself.
COMPOSE_VARIABLES = {"FACES_JOBS_PUBLISH", "FACES_JOBS_SETTINGS_FILE"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_setting_and_command_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    settings = {f"{ENVIRONMENT_PREFIX}{name.upper()}" for name in Settings.model_fields}
    variables = set(re.findall(r"FACES_JOBS_[A-Z0-9_]+", text))
    assert variables - COMPOSE_VARIABLES <= settings
    invocations = re.findall(r'\["(?:CMD", ")?faces-jobs", ([^\]]+)\]', text)
    for words in invocations:
        command = tuple(re.findall(r'"([^"]+)"', words))
        assert command in commands(cli) or command[:1] == ("health",), command


def test_images_install_existing_extras_and_run_as_an_unprivileged_user() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = FILES[0].read_text(encoding="utf-8")
    for wanted in re.findall(r"whl\)\[([a-z,]+)\]", text):
        assert set(wanted.split(",")) <= set(extras["optional-dependencies"])
    assert "USER faces" in text.split("AS web\n")[1].split("FROM")[0]
    assert "USER faces" in text.split("AS worker\n")[1]


def test_workers_stop_before_the_services_that_they_release_their_work_to() -> None:
    # Compose stops a service once all services have stopped that name it in `depends_on`. An
    # indirect dependency by way of `migrate` is not enough: that has ended long before.
    shared = FILES[1].read_text(encoding="utf-8").split("\nservices:")[0]
    needed = shared.split("  depends_on:\n")[1]
    assert {"postgres", "redis"} <= set(re.findall(r"^    (\w+):$", needed, re.MULTILINE))
