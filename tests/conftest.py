"""Fixtures of every tier. That no test reaches beyond this machine is set in pyproject.toml."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

from faces_jobs.settings import ENVIRONMENT_PREFIX, Settings


def pytest_configure() -> None:
    """Give property tests no deadline: a busy machine is no finding."""
    hypothesis.settings.register_profile("patient", deadline=None)
    hypothesis.settings.load_profile("patient")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests reaches them."""
    for variable in list(os.environ):  # noqa: TID251 (the one place of the tests that clears it)
        if variable.startswith(ENVIRONMENT_PREFIX) and not variable.startswith(
            f"{ENVIRONMENT_PREFIX}TEST_"
        ):
            monkeypatch.delenv(variable)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The defaults, with everything kept below the test's own folder."""
    return Settings(data_folder=tmp_path / "data")
