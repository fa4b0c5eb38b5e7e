"""Pages that stay open in a real browser: many at once, hidden ones, and Back."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from faces_jobs.client.api import Client
from tests.acceptance.browser import watched_page
from tests.acceptance.web import RunningWeb
from tests.unit.web.media_files import png

PAGES = 8  # more than the connections that a browser opens to one host

# Headless Chromium treats all pages as visible, so the test simulates what it would signal.
SET_HIDDEN = """(hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
def waiting(idle_web: RunningWeb, tmp_path: Path) -> str:
    """A queued job."""
    path = tmp_path / "gray.png"
    path.write_bytes(png(64, 64))
    with Client(idle_web.url) as client:
        return client.submit_files([(path.name, path)], {}).id


def test_many_open_pages_of_a_job_all_show_its_end(
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


def test_an_open_page_offers_what_the_new_state_allows(
    browser: Browser, idle_web: RunningWeb, waiting: str
) -> None:
    with watched_page(browser) as watched, Client(idle_web.url) as client:
        page = watched.page
        page.goto(f"{idle_web.url}/jobs/{waiting}")
        expect(page.get_by_role("button", name="Pause")).to_be_visible()
        client.pause(waiting)
        expect(page.get_by_role("button", name="Resume")).to_be_visible()
        expect(page.get_by_role("button", name="Pause")).to_have_count(0)
        client.resume(waiting)
        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_role("button", name="Resume")).to_be_visible()


def test_a_page_that_saw_what_no_event_told_does_not_keep_it(
    browser: Browser, idle_web: RunningWeb, waiting: str
) -> None:
    with watched_page(browser) as watched, Client(idle_web.url) as client:
        page = watched.page
        requests: list[str] = []
        answers: list[str] = []

        def pause_while_it_is_asked_first(route: Route) -> None:
            requests.append(route.request.url)
            if answers:
                route.continue_()
                return
            # Resumed before the server looks again: for the event stream nothing has happened.
            client.pause(waiting)
            response = route.fetch()
            client.resume(waiting)
            answers.append(response.text())
            route.fulfill(response=response)

        page.route("**/live", pause_while_it_is_asked_first)
        with page.expect_response(lambda one: one.url.endswith("/live") and len(requests) > 1):
            page.goto(f"{idle_web.url}/jobs/{waiting}")
        assert "Paused" in answers[0]
        expect(page.locator("#live")).to_have_attribute("data-status", "queued")
        expect(page.get_by_role("button", name="Pause")).to_be_visible()


def test_an_open_page_says_that_the_server_does_not_respond(
    browser: Browser, idle_web: RunningWeb, waiting: str
) -> None:
    with watched_page(browser) as watched:
        page = watched.page
        page.route("**/events", lambda route: route.abort("connectionrefused"))
        page.goto(f"{idle_web.url}/jobs/{waiting}")
        note = page.locator("#live").get_by_text("The server does not respond. Retrying.")
        expect(note).to_be_visible()
        page.unroute("**/events")
        expect(note).to_have_count(0)
        watched.errors.clear()  # of the refused connections


def test_a_hidden_page_sends_no_requests_and_updates_when_shown(
    browser: Browser, idle_web: RunningWeb, waiting: str
) -> None:
    with watched_page(browser) as watched, Client(idle_web.url) as client:
        page = watched.page
        page.goto(f"{idle_web.url}/jobs/{waiting}")
        expect(page.locator("#announcement")).to_have_text("Waiting")
        requested: list[str] = []
        with page.expect_event("requestfailed", lambda one: one.url.endswith("/events")):
            page.evaluate(SET_HIDDEN, True)
        page.on("request", lambda one: requested.append(one.url))
        client.pause(waiting)
        client.cancel(waiting)
        page.evaluate("fetch('/healthz')")
        assert [one.rpartition("/")[2] for one in requested] == ["healthz"]
        page.evaluate(SET_HIDDEN, False)
        expect(page.locator(".facts")).to_contain_text("Cancelled")


def test_going_back_from_a_job_shows_a_form_that_submits_again(
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
