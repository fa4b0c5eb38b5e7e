"""Pages of jobs in transient states, and of users who were signed out, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import update

from faces_jobs.client.api import Client
from faces_jobs.db.session import open_database
from faces_jobs.db.tables import JobRow
from faces_jobs.jobs.status import JobStatus
from faces_jobs.settings import Settings
from faces_jobs.storage import open_storage
from tests.acceptance.browser import PHONE, WatchedPage, watched_page
from tests.acceptance.web import RunningWeb, running_web
from tests.unit.web import worked
from tests.unit.web.media_files import png

TOKEN = "a-long-enough-access-token"


@pytest.fixture
def job_id(idle_web: RunningWeb, tmp_path: Path) -> str:
    """The id of a job of one photograph on a server without workers."""
    path = tmp_path / "a.png"
    path.write_bytes(png())
    with Client(idle_web.url) as client:
        return client.submit_files([("a.png", path)], {}).id


@pytest.mark.parametrize("status", [JobStatus.WAITING_FOR_SPACE, JobStatus.PAUSED])
def test_every_action_is_visible_on_a_phone(
    browser: Browser, idle_web: RunningWeb, job_id: str, status: JobStatus
) -> None:
    with (
        open_database(f"sqlite:///{idle_web.data}/faces_jobs.db") as database,
        database.begin() as session,
    ):
        session.execute(update(JobRow).where(JobRow.id == job_id).values(status=status))
    with watched_page(browser, viewport=PHONE) as watched:
        watched.page.goto(f"{idle_web.url}/jobs/{job_id}")
        assert watched.fits_viewport()
        for action in watched.page.locator(".title-actions :is(button, .button):visible").all():
            box = action.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= PHONE["width"], action.text_content()


def test_the_delete_confirmation_closes_by_escape_and_by_a_click_elsewhere(
    browser: Browser, idle_web: RunningWeb, job_id: str
) -> None:
    with watched_page(browser) as watched:
        page = watched.page
        page.goto(f"{idle_web.url}/jobs/{job_id}")
        opener, confirm = (
            page.locator(".confirm summary"),
            page.get_by_role("button", name="permanently"),
        )
        opener.press("Enter")
        expect(confirm).to_be_visible()
        page.keyboard.press("Tab")
        page.keyboard.press("Escape")
        expect(confirm).to_be_hidden()
        expect(opener).to_be_focused()
        opener.click()
        expect(confirm).to_be_visible()
        page.locator("h1").click()
        expect(confirm).to_be_hidden()


def test_errors_of_options_in_a_closed_section_are_shown(
    browser: Browser, idle_web: RunningWeb, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png())
    context = browser.new_context()
    page = WatchedPage(context).page  # unchecked: the expected 422 is logged as an error
    page.goto(idle_web.url)
    page.get_by_label("Choose files").set_input_files(path)
    smallest, summary = page.get_by_label("Smallest face"), page.locator("form summary")
    summary.click()
    smallest.fill("2")
    summary.click()
    page.get_by_role("button", name="Analyse").click()
    expect(smallest).to_be_focused()  # the browser itself reports that the value is too small
    smallest.fill("16")
    page.get_by_label("Unsure below").fill("often")
    summary.click()
    page.get_by_role("button", name="Analyse").click()
    expect(page.locator("#problem")).to_have_text(
        "Some options are invalid: see the messages next to them."
    )
    field_error = page.locator("label", has=page.locator("[name=unsure_below]")).locator(
        ".field-error"
    )
    expect(field_error).to_contain_text("'often' is not a probability")
    expect(page.get_by_label("Unsure below")).to_be_focused()
    page.get_by_label("Unsure below").fill("0.5")
    page.get_by_role("button", name="Analyse").click()
    page.wait_for_url(f"{idle_web.url}/jobs/*")
    context.close()


def sign_in(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_label("Access token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/")


def test_a_user_who_was_signed_out_keeps_the_chosen_files(
    browser: Browser, tmp_path: Path, sqlite_template: Path
) -> None:
    picture = tmp_path / "gray.png"
    picture.write_bytes(png(64, 64))
    context = browser.new_context()
    with running_web(tmp_path / "web", sqlite_template, access_token=TOKEN) as web:
        sign_in(page := WatchedPage(context).page, web.url)  # unchecked: 401 is logged
        page.get_by_label("Choose files").set_input_files(picture)
        other = context.new_page()
        other.goto(web.url)
        other.get_by_role("button", name="Sign out").click()
        other.wait_for_url(f"{web.url}/login")
        page.get_by_role("button", name="Analyse").click()
        expect(page.locator("#problem")).to_contain_text("You are signed out")
        expect(page.get_by_role("button", name="Analyse")).to_be_focused()
        sign_in(other, web.url)
        page.get_by_role("button", name="Analyse").click()
        page.wait_for_url(f"{web.url}/jobs/*")
    context.close()


def test_the_focus_on_a_picture_is_visible(
    browser: Browser, idle_web: RunningWeb, job_id: str
) -> None:
    settings = Settings(data_folder=idle_web.data)
    with open_database(settings.database) as database:
        worked.finish(database, open_storage(settings), job_id)
    with watched_page(browser) as watched:
        page = watched.page
        page.goto(f"{idle_web.url}/jobs/{job_id}")
        figure = page.locator(".gallery figure")
        expect(figure).to_have_css("outline-style", "none")
        figure.get_by_role("img").locator("..").focus()
        expect(figure).to_have_css("outline-style", "solid")
        figure.get_by_role("link", name="Download").focus()
        expect(figure).to_have_css("outline-style", "none")
