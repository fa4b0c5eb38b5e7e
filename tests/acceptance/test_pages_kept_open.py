"""Pages that stay open in a real browser: many at once, those that nobody sees, and Back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from faces_jobs.client import Client
from tests.acceptance.browser import open_browser, watched_page
from tests.acceptance.web import RunningWeb, running_web
from tests.unit.web.media_files import png

PAGES = 8  # more than the connections that a browser opens to one server

# Headless Chromium takes all pages for seen, so the page is told what a browser would tell it.
HIDE = """(hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def web(
    browser: Browser,  # noqa: ARG001 (no server is started where there is no browser)
    sqlite_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningWeb]:
    """A server without workers: jobs wait for ever."""
    with running_web(tmp_path_factory.mktemp("web"), sqlite_template) as running:
        yield running


@pytest.fixture
def waiting(web: RunningWeb, tmp_path: Path) -> str:
    """A job that waits."""
    path = tmp_path / "gray.png"
    path.write_bytes(png(64, 64))
    with Client(web.url) as client:
        return client.submit_files([(path.name, path)], {}).id


def test_many_pages_of_a_job_all_load_and_all_see_its_end(
    browser: Browser, web: RunningWeb, waiting: str
) -> None:
    with watched_page(browser) as watched:
        pages = [watched.page, *(watched.page.context.new_page() for _ in range(PAGES - 1))]
        for page in pages:
            page.goto(f"{web.url}/jobs/{waiting}")
            page.bring_to_front()
            expect(page.locator("#announcement")).to_have_text("Waiting")
        with Client(web.url) as client:
            client.cancel(waiting)
        for page in pages:
            page.bring_to_front()
            expect(page.locator(".facts")).to_contain_text("Cancelled")


def test_a_page_that_nobody_sees_catches_up_when_it_is_seen(
    browser: Browser, web: RunningWeb, waiting: str
) -> None:
    with watched_page(browser) as watched, Client(web.url) as client:
        page = watched.page
        page.goto(f"{web.url}/jobs/{waiting}")
        expect(page.locator("#announcement")).to_have_text("Waiting")
        asked: list[str] = []
        with page.expect_event("requestfailed", lambda one: one.url.endswith("/events")):
            page.evaluate(HIDE, True)
        page.on("request", lambda one: asked.append(one.url))
        client.pause(waiting)
        client.cancel(waiting)
        page.evaluate("fetch('/healthz')")
        assert [one.rpartition("/")[2] for one in asked] == ["healthz"]
        page.evaluate(HIDE, False)
        expect(page.locator(".facts")).to_contain_text("Cancelled")


def test_back_from_a_job_leads_to_a_form_that_submits_again(
    browser: Browser, web: RunningWeb, tmp_path: Path
) -> None:
    picture = tmp_path / "gray.png"
    picture.write_bytes(png(64, 64))
    with watched_page(browser) as watched:
        page = watched.page
        page.goto(web.url)
        page.evaluate("addEventListener('pageshow', (event) => { window.kept = event.persisted; })")
        addresses = []
        for _ in range(2):
            page.get_by_label("Choose files").set_input_files(picture)
            page.get_by_role("button", name="Analyse").click()
            page.wait_for_url("**/jobs/*")
            addresses.append(page.url)
            expect(page.locator("#announcement")).to_have_text("Waiting")
            page.evaluate("history.back()")
            expect(page).to_have_url(f"{web.url}/")
            assert page.evaluate("window.kept") is True
            expect(page.locator("#upload")).to_be_hidden()
            expect(page.locator("#chosen")).to_be_hidden()
        assert len(set(addresses)) == 2
