"""Fixtures and hooks of all tiers. (pyproject.toml denies the tests access to other machines.)"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from PIL import Image

from faces_jobs.settings import ENVIRONMENT_PREFIX, Settings
from tests.shared import create_once


def pytest_configure() -> None:
    """Lift the deadline of property tests, and restore the handling of SIGINT.

    A busy machine must not fail a property test. A shell starts background jobs (`make test &`)
    with SIGINT ignored, which the processes that tests start would inherit.
    """
    hypothesis.settings.register_profile("no_deadline", deadline=None)
    hypothesis.settings.load_profile("no_deadline")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect the tests without looking for garbage among them, now or later.

    A quarter of the collection's time goes there, in every process of the run.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Choose which tests run in the same process when there are several."""
    from tests.scheduling import ByModuleOrTest  # noqa: PLC0415 (only where xdist is in use)

    return ByModuleOrTest(config, log)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the settings of whoever runs the tests from the environment."""
    for variable in list(os.environ):  # noqa: TID251 (the only place in the tests that clears it)
        if variable.startswith(ENVIRONMENT_PREFIX) and not variable.startswith(
            f"{ENVIRONMENT_PREFIX}TEST_"
        ):
            monkeypatch.delenv(variable)


@pytest.fixture(autouse=True)
def pillow_limit() -> Iterator[None]:
    """Take back Pillow's limit of pixels, which reading an image sets for the whole process."""
    before = Image.MAX_IMAGE_PIXELS
    yield
    Image.MAX_IMAGE_PIXELS = before


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Default settings, with all data below the test's own folder."""
    return Settings(data_folder=tmp_path / "data")


@pytest.fixture(scope="session")
def statements() -> Iterator[None]:
    """Compile SQL once for all databases of this process."""
    from tests.shared_statements import shared_statements  # noqa: PLC0415 (networks need no SQL)

    with shared_statements():
        yield


@pytest.fixture(scope="session")
def sqlite_template(
    tmp_path_factory: pytest.TempPathFactory,
    statements: None,  # noqa: ARG001 (whoever uses a database)
) -> Path:
    """A database file with the latest schema and no rows, for each test to copy."""
    from faces_jobs.db.migrate import upgrade  # noqa: PLC0415 (tests of networks need no database)

    return create_once(tmp_path_factory, "template.db", lambda path: upgrade(f"sqlite:///{path}"))


@pytest.fixture(scope="session")
def quick_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's clip at a fifth of its frame rate: made and processed in a fifth of the time."""
    from faces_jobs import sample  # noqa: PLC0415 (few tests need its codecs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "RATE", sample.RATE // 5)
        return create_once(tmp_path_factory, "quick.mp4", sample.write_sample_clip)


@pytest.fixture(scope="session")
def whole_clip(tmp_path_factory: pytest.TempPathFactory, quick_clip: Path) -> Path:
    """As long as the demo's clip, and with as many frames: those of the quick one, five times."""
    from tests.clips import write_repeated  # noqa: PLC0415 (few tests need its codecs)

    return create_once(
        tmp_path_factory, "whole.mp4", lambda path: write_repeated(path, quick_clip, 5, speed=5)
    )
