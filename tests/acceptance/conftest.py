"""What tests of the pages share: a browser, and a server without workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.acceptance.browser import open_browser
from tests.acceptance.web import RunningWeb, running_web


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser, for the tests of one file."""
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def idle_web(
    browser: Browser,  # noqa: ARG001 (no server is started where there is no browser)
    sqlite_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningWeb]:
    """A server without workers: its jobs wait for ever."""
    with running_web(tmp_path_factory.mktemp("web"), sqlite_template) as running:
        yield running
