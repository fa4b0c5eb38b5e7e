"""Pages with names of the maximum length, in a real browser: everything else stays visible."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, ViewportSize

from faces_jobs.client.api import Client
from faces_jobs.db.session import open_database
from faces_jobs.storage import LocalStorage
from tests.acceptance.browser import DESK, PHONE, watched_page
from tests.acceptance.web import RunningWeb
from tests.unit.web import worked
from tests.unit.web.media_files import png

LABEL = "L" * 1024
NAME = f"holiday/{'x' * 230}.png"
A4: ViewportSize = {"width": 718, "height": 1047}  # CSS pixels between a browser's default margins
TABLET: ViewportSize = {"width": 744, "height": 1133}


@pytest.fixture(scope="module")
def job(idle_web: RunningWeb, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A finished job of two files."""
    path = tmp_path_factory.mktemp("pictures") / "a.png"
    path.write_bytes(png(64, 64))
    with Client(idle_web.url) as client:
        job = client.submit_files([(NAME, path), ("b.png", path)], {"label": LABEL})
    with open_database(f"sqlite:///{idle_web.data}/faces_jobs.db") as database:
        worked.finish(database, LocalStorage(idle_web.data / "files"), job.id)
    return job.id


def bottom_of(page: Page, selector: str) -> float:
    """The lower edge of the first element that matches, in CSS pixels."""
    box = page.locator(selector).first.bounding_box()
    assert box is not None
    return box["y"] + box["height"]


def tables_fit(page: Page) -> bool:
    """Whether the page and every table on it are seen without scrolling sideways."""
    fits = page.evaluate(
        "[document.documentElement, ...document.querySelectorAll('.scroll')]"
        ".every((part) => part.scrollWidth <= part.clientWidth)"
    )
    return bool(fits)


def fits_paper(page: Page) -> bool:
    """Whether every table has the width of a sheet when the page is printed."""
    screen = page.viewport_size
    assert screen is not None
    page.emulate_media(media="print")
    page.set_viewport_size(A4)
    fits = tables_fit(page)
    page.emulate_media(media="screen")
    page.set_viewport_size(screen)
    return fits


@pytest.mark.parametrize("viewport", [DESK, PHONE])
def test_long_names_leave_room_for_everything_else(
    browser: Browser, idle_web: RunningWeb, job: str, viewport: dict[str, int]
) -> None:
    with watched_page(browser, viewport=viewport) as watched:
        page = watched.page
        for part in ("", "/faces", "/tracks", "/files", "/items", "/items/1"):
            page.goto(f"{idle_web.url}/jobs/{job}{part}")
            assert watched.fits_viewport(), part
            assert bottom_of(page, "h1") < viewport["height"] / 2, part
        page.goto(f"{idle_web.url}/jobs/{job}/faces?item=1")
        assert fits_paper(page), "no column of the table is cut off"
        box = page.locator("#faces tbody td:nth-child(5)").first.bounding_box()
        assert box is not None
        if viewport is DESK:
            assert box["x"] + box["width"] < viewport["width"]
        else:
            assert box["x"] < 1.5 * viewport["width"], "reached with little scrolling"
        assert page.locator("#faces tbody td.name").first.get_attribute("title") == NAME
        page.goto(f"{idle_web.url}/jobs")
        assert fits_paper(page)
        assert bottom_of(page, "tbody tr") < viewport["height"]
        assert page.locator(".job-link").get_attribute("title") == LABEL
        lines = page.locator("tbody time").evaluate("(time) => time.getClientRects().length")
        assert lines == 1, "the label takes no room from the time of submission"


def test_long_names_leave_room_for_themselves_on_a_tablet(
    browser: Browser, idle_web: RunningWeb, job: str
) -> None:
    with watched_page(browser, viewport=TABLET) as watched:
        page = watched.page
        for address in (f"/jobs/{job}/items", "/jobs"):
            page.goto(idle_web.url + address)
            box = page.locator("tbody th").first.bounding_box()
            assert box is not None
            assert box["width"] > TABLET["width"] / 5, address
            assert tables_fit(page), "no column is cut off"


def test_text_of_twice_the_size_fits_a_phone(
    browser: Browser, idle_web: RunningWeb, job: str
) -> None:
    with watched_page(browser, viewport=PHONE) as watched:
        page = watched.page
        for address in ("/", "/jobs", f"/jobs/{job}", f"/jobs/{job}/items", f"/jobs/{job}/files"):
            page.goto(idle_web.url + address)
            page.evaluate("document.documentElement.style.fontSize = '200%'")
            size = page.evaluate("getComputedStyle(document.body).fontSize")
            assert size == "32px", "running text grows as headings do"
            assert watched.fits_viewport(), address
