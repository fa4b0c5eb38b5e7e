"""Pages that stay open in a real browser: many at once, those that nobody sees, and Back."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from faces_jobs.client import Client
from tests.acceptance.browser import watched_page
from tests.acceptance.web import RunningWeb
from tests.unit.web.media_files import png

PAGES = 8  # more than the connections that a browser opens to one server

# Headless Chromium takes all pages for seen, so the page is told what a browser would tell it.
HIDE = """(hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
def waiting(idle_web: RunningWeb, tmp_path: Path) -> str:
    """A job that waits."""
    path = tmp_path / "gray.png"
    path.write_bytes(png(64, 64))
    with Client(idle_web.url) as client:
        return client.submit_files([(path.name, path)], {}).id


def test_many_pages_of_a_job_all_load_and_all_see_its_end(
    browser: Browser, idle_web: RunningWeb, waiting: str
) -> None:
    with watched_page(browser) as watched:
        pages = [watched.page, *(watched.page.context.new_page() for _ in range(PAGES - 1))]
        for page in pages:
            page.goto(f"{idle_web.url}/jobs/{waiting}")
            page.bring_to_front()
            expect(page.locator("#announcement")).to_have_text("Waiting")
        with Client(idle_web.url) as client:
            client.cancel(waiting)
        for page in pages:
            page.bring_to_front()
            expect(page.locator(".facts")).to_contain_text("Cancelled")


def test_a_page_that_nobody_sees_catches_up_when_it_is_seen(
    browser: Browser, idle_web: RunningWeb, waiting: str
) -> None:
    with watched_page(browser) as watched, Client(idle_web.url) as client:
        page = watched.page
        page.goto(f"{idle_web.url}/jobs/{waiting}")
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
    browser: Browser, idle_web: RunningWeb, tmp_path: Path
) -> None:
    picture = tmp_path / "gray.png"
    picture.write_bytes(png(64, 64))
    with watched_page(browser) as watched:
        page = watched.page
        page.goto(idle_web.url)
        page.evaluate("addEventListener('pageshow', (event) => { window.kept = event.persisted; })")
        addresses = []
        for _ in range(2):
            page.get_by_label("Choose files").set_input_files(picture)
            page.get_by_role("button", name="Analyse").click()
            page.wait_for_url("**/jobs/*")
            addresses.append(page.url)
            expect(page.locator("#announcement")).to_have_text("Waiting")
            page.evaluate("history.back()")
            expect(page).to_have_url(f"{idle_web.url}/")
            assert page.evaluate("window.kept") is True
            expect(page.locator("#upload")).to_be_hidden()
            expect(page.locator("#chosen")).to_be_hidden()
        assert len(set(addresses)) == 2
