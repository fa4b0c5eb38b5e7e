"""Fixtures of the acceptance tests: a browser, and a web server without workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.acceptance.browser import open_browser
from tests.acceptance.web import RunningWeb, running_web


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser, shared by the tests of one module."""
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def idle_web(
    browser: Browser,  # noqa: ARG001 (without a browser, skips before the server starts)
    sqlite_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningWeb]:
    """A web server without workers: its jobs stay queued."""
    with running_web(tmp_path_factory.mktemp("web"), sqlite_template) as running:
        yield running
