"""Fixtures of every tier. That no test reaches beyond this machine is set in pyproject.toml."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from faces_jobs.settings import ENVIRONMENT_PREFIX, Settings
from tests.shared import create_once


def pytest_configure() -> None:
    """Give property tests no deadline, a busy machine is no finding; and let Ctrl-C be heard.

    In the background of a script (`make test &`) it is ignored, by what is started there as well.
    """
    hypothesis.settings.register_profile("patient", deadline=None)
    hypothesis.settings.load_profile("patient")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Say which tests go to one process, where there are several."""
    from tests.scheduling import ByModuleOrTest  # noqa: PLC0415 (only where xdist is in use)

    return ByModuleOrTest(config, log)


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


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with the newest schema and no rows, to be copied for each test."""
    from faces_jobs.db.migrate import upgrade  # noqa: PLC0415 (tests of networks need no database)

    return create_once(tmp_path_factory, "template.db", lambda path: upgrade(f"sqlite:///{path}"))


@pytest.fixture(scope="session")
def sample_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip of the demo: it takes seconds to make, and nothing changes it."""
    from faces_jobs.sample import write_sample_clip  # noqa: PLC0415 (few tests need its codecs)

    return create_once(tmp_path_factory, "sample.mp4", write_sample_clip)


@pytest.fixture(scope="session")
def quick_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same ten seconds in a fifth of the frames: worked off in a fifth of the time."""
    from faces_jobs import sample  # noqa: PLC0415 (few tests need its codecs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "RATE", sample.RATE // 5)
        return create_once(tmp_path_factory, "quick.mp4", sample.write_sample_clip)
