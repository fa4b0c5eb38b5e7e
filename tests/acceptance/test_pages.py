"""The pages in a real browser with real processes: submit, follow, play, filter, delete."""

from __future__ import annotations

import re
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from faces_jobs.client.api import Client
from tests.acceptance.browser import PHONE, drop_files, watched_page
from tests.acceptance.service import RunningService, running_service
from tests.acceptance.web import running_web
from tests.services import TIMEOUT_SECONDS
from tests.unit.web.media_files import png

pytestmark = pytest.mark.timeout(900)  # processes a whole clip, on a busy machine too
JOB_SECONDS = 240
TOKEN = "the-access-token-of-the-test"
JOB_PAGE = re.compile(r".*/jobs/[0-9a-f-]{36}$")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server folder with a photograph in it."""
    folder = tmp_path_factory.mktemp("films")
    (folder / "2026").mkdir()
    (folder / "2026" / "gray.png").write_bytes(png(64, 64))
    return folder


@pytest.fixture(scope="module")
def service(
    browser: Browser,  # noqa: ARG001 (without a browser, skips before the service starts)
    films: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningService]:
    roots = f'{{"films": "{films}"}}'
    with running_service(tmp_path_factory.mktemp("service"), roots=roots) as running:
        yield running


@pytest.fixture(scope="module")
def clip(whole_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip like the sample, under a name with characters that pages must escape."""
    path = tmp_path_factory.mktemp("clip") / "Prüf <b>clip.mp4"
    shutil.copy(whole_clip, path)
    return path


@pytest.fixture(scope="module")
def done(service: RunningService, quick_clip: Path) -> str:
    """The address of the page of a finished job."""
    with Client(service.url) as client:
        job = client.submit_files([(quick_clip.name, quick_clip)], {"label": "Sample"})
        wait_until_ended(client, job.id)
    return f"{service.url}/jobs/{job.id}"


def wait_until_ended(client: Client, job_id: str) -> None:
    job = client.job(job_id)
    for _ in range(JOB_SECONDS * 4):
        job = client.job(job_id)
        if job.status.ended:
            break
        time.sleep(0.25)
    assert job.status == "succeeded", job


def test_a_clip_is_submitted_followed_played_and_searched(
    browser: Browser, service: RunningService, clip: Path
) -> None:
    with watched_page(browser) as watched:
        page = watched.page
        page.goto(service.url)
        # Choose a clip by the button, then drop another file and remove it
        page.get_by_label("Choose files").set_input_files(clip)
        expect(page.get_by_role("list", name="Chosen files")).to_contain_text(clip.name)
        extra = clip.with_name("extra.png")
        extra.write_bytes(png())
        drop_files(page, "#drop", [extra])
        expect(page.locator("#chosen-count")).to_contain_text("2 files")
        page.get_by_role("button", name="Remove extra.png").click()
        expect(page.locator("#chosen-count")).to_contain_text("1 file")
        page.get_by_role("textbox", name="Label").fill("By <i>browser</i>")
        page.locator("summary", has_text="Detection and speed").click()
        page.get_by_label("Every n-th frame").fill("3")
        # Submit it
        page.get_by_role("button", name="Analyse").click()
        page.wait_for_url(JOB_PAGE)
        # The progress bar moves
        bar = page.get_by_role("progressbar", name="Progress of the job")
        expect(bar).to_be_visible()
        seen = watch_progress(page)
        assert seen == sorted(seen)
        assert any(0 < value < 1 for value in seen)
        # The results appear without a reload
        expect(page.get_by_role("heading", name="Annotated")).to_be_visible(
            timeout=JOB_SECONDS * 1000
        )
        expect(page.locator("#announcement")).to_have_text("Done")
        expect(page.get_by_role("heading", level=1)).to_have_text("By <i>browser</i>")
        assert page.locator("h1 i, .name b").count() == 0
        play_and_seek(page)
        search_faces(page)
        assert watched.fits_viewport()


def watch_progress(page: Page) -> list[float]:
    """Collect the values that the progress bar shows until the job ends."""
    seen: list[float] = []
    for _ in range(JOB_SECONDS * 5):
        value = page.evaluate(
            """() => document.querySelector("#live progress")?.getAttribute("value") ?? null"""
        )
        live = page.evaluate("""() => document.querySelector("#live")?.dataset.ended ?? "gone" """)
        if live != "no":
            break
        shown = page.evaluate("""() => document.querySelector("#live progress")?.value ?? null""")
        if value is not None and shown is not None and (not seen or shown != seen[-1]):
            seen.append(shown)
        page.wait_for_timeout(200)
    return seen


def play_and_seek(page: Page) -> None:
    video = page.locator("video").first
    video.scroll_into_view_if_needed()
    video.evaluate("video => { video.muted = true; return video.play(); }")
    page.wait_for_function("() => document.querySelector('video').currentTime > 0.3")
    assert video.evaluate("video => video.readyState") >= 2
    assert video.evaluate("video => video.videoWidth") == 1280
    assert video.evaluate("video => video.error") is None
    duration = video.evaluate("video => video.duration")
    assert duration == pytest.approx(10, abs=0.5)
    # The end is not loaded yet, so seeking there needs range requests.
    video.evaluate("video => { video.pause(); video.currentTime = video.duration - 1; }")
    page.wait_for_function(
        "() => { const v = document.querySelector('video'); "
        "return !v.seeking && v.readyState >= 2 && v.currentTime > v.duration - 1.2; }"
    )
    # A track's link seeks to its best frame.
    link = page.locator("a[data-seek]", has_text="Show at").first
    expected = float(link.get_attribute("data-seek") or "nan")
    link.click()
    page.wait_for_function(
        "expected => { const v = document.querySelector('video'); "
        "return !v.seeking && Math.abs(v.currentTime - expected) < 0.05; }",
        arg=expected,
    )


def search_faces(page: Page) -> None:
    faces = page.locator("#faces")
    rows = faces.locator("tbody tr")
    expect(rows).to_have_count(25)
    gender = faces.locator("tbody tr td:nth-child(4)").first.inner_text().split()[0]
    faces.get_by_label("Gender").select_option(gender)
    faces.get_by_label("Min. score").fill("0.5")
    faces.get_by_role("button", name="Filter").click()
    expect(page.locator("#announcement")).to_contain_text("faces shown")
    cells = faces.locator("tbody tr td:nth-child(4)").all_inner_texts()
    assert cells
    assert all(cell.split()[0] == gender for cell in cells)
    assert faces.get_by_label("Gender").input_value() == gender
    expect(faces.get_by_role("button", name="Filter")).to_be_focused()
    # A time range without faces
    faces.get_by_label("From, seconds").fill("900")
    faces.get_by_role("button", name="Filter").click()
    expect(faces).to_contain_text("No faces match these filters")
    expect(page.locator("#announcement")).to_have_text("No faces match these filters.")
    faces.get_by_label("Gender").select_option("any")
    faces.get_by_label("Min. probability").fill("0.5")
    faces.get_by_role("button", name="Filter").click()
    expect(page.locator("#announcement")).to_contain_text("choose an attribute above")
    faces.get_by_role("link", name="Clear").click()
    expect(rows).to_have_count(25)
    first = rows.first.inner_text()
    faces.get_by_role("link", name="Next page").click()
    expect(rows.first).not_to_have_text(first)
    expect(faces.get_by_role("heading", name="Faces")).to_be_focused()
    assert JOB_PAGE.match(page.url.partition("?")[0])


def test_the_address_of_a_job_s_page_has_the_filters_of_its_faces(
    browser: Browser, done: str
) -> None:
    with watched_page(browser) as watched:
        page = watched.page
        page.goto(done)
        faces = page.locator("#faces")
        score = faces.get_by_label("Min. score")
        for value in ("0.5", "0.6"):
            score.fill(value)
            faces.get_by_role("button", name="Filter").click()
            expect(page).to_have_url(f"{done}?min_score={value}#faces")
        page.reload()
        expect(score).to_have_value("0.6")
        page.go_back()
        expect(score).to_have_value("0.5")
        expect(page).to_have_url(f"{done}?min_score=0.5#faces")
        page.go_back()
        expect(score).to_have_value("")
        expect(page).to_have_url(done)
        page.go_forward()
        expect(score).to_have_value("0.5")
        faces.get_by_role("link", name="Clear").click()
        expect(score).to_have_value("")
        expect(page).to_have_url(done)


def test_thumbnails_are_shown_and_artifacts_downloaded(browser: Browser, done: str) -> None:
    with watched_page(browser) as watched:
        page = watched.page
        page.goto(done)
        thumbnails = page.locator("img.face")
        assert thumbnails.count() >= 1
        thumbnails.first.scroll_into_view_if_needed()
        page.wait_for_function(
            "() => { const i = document.querySelector('img.face'); "
            "return i.complete && i.naturalWidth > 0; }"
        )
        names = page.get_by_role("link", name=re.compile("^Download ")).all()
        assert len(names) >= 5
        table = page.get_by_role("link", name=re.compile(r"^Download .*faces.*\.csv"))
        with page.expect_download() as download:
            table.click()
        text = download.value.path().read_text(encoding="utf-8")
        assert text.count("\n") > 50
        with page.expect_download() as download:
            page.get_by_role("link", name="Download all").click()
        assert download.value.suggested_filename == "Sample.zip"
        with zipfile.ZipFile(download.value.path()) as archive:
            assert archive.testzip() is None
            assert {"faces.csv", "0-quick.annotated.mp4"} <= set(archive.namelist())


def test_results_are_shown_and_filtered_without_javascript(browser: Browser, done: str) -> None:
    with watched_page(browser, java_script_enabled=False) as watched:
        page = watched.page
        page.goto(done)
        expect(page.locator("video")).to_have_count(1)
        column = page.locator("#faces tbody tr td:nth-child(7)")
        pose = column.first.inner_text().split()[0]
        page.locator("#faces").get_by_label("Pose").select_option(pose)
        page.locator("#faces").get_by_role("button", name="Filter").click()
        expect(page).to_have_url(re.compile(rf"/faces\?.*pose={pose}"))
        cells = column.all_inner_texts()
        assert cells
        assert all(cell.split()[0] == pose for cell in cells)


def test_a_file_and_a_server_folder_are_submitted_without_javascript(
    browser: Browser, service: RunningService, tmp_path: Path
) -> None:
    picture = tmp_path / "gray.png"
    picture.write_bytes(png(64, 64))
    with watched_page(browser, java_script_enabled=False) as watched:
        page = watched.page
        page.goto(service.url)
        page.get_by_label("Choose files").set_input_files(picture)
        page.get_by_role("button", name="Analyse").click()
        expect(page).to_have_url(JOB_PAGE)
        expect(page.locator("main")).to_contain_text("gray.png")
        page.goto(service.url)
        page.get_by_label("Root").select_option("films")
        page.get_by_label("Path").fill("2026")
        page.get_by_role("button", name="Analyse").click()
        expect(page).to_have_url(JOB_PAGE)
        expect(page.locator("main")).to_contain_text("gray.png")


def test_files_of_a_folder_keep_their_relative_paths_in_order_without_hidden_ones(
    browser: Browser, service: RunningService, tmp_path: Path
) -> None:
    trip = tmp_path / "trip"
    (trip / "lake").mkdir(parents=True)
    (trip / "lake" / "a.png").write_bytes(png(64, 64, 10))
    for shade, name in enumerate("dbeca"):
        (trip / f"{name}.png").write_bytes(png(64, 64, 20 + shade))
    (trip / ".DS_Store").write_bytes(b"of the file manager")
    with watched_page(browser) as watched:
        page = watched.page
        page.goto(service.url)
        page.get_by_label("Choose a folder").set_input_files(trip)
        page.get_by_role("button", name="Analyse").click()
        page.wait_for_url(JOB_PAGE)
    with Client(service.url) as client:
        names = [item.name for item in client.items(page.url.rsplit("/", 1)[-1])]
    assert names == [*(f"trip/{name}.png" for name in "abcde"), "trip/lake/a.png"]


def test_rejected_submissions_show_their_error_in_the_form(
    browser: Browser, service: RunningService, tmp_path: Path
) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video at all")
    with watched_page(browser) as watched:
        page = watched.page
        page.goto(service.url)
        page.get_by_role("button", name="Analyse").click()
        expect(page.get_by_role("alert")).to_contain_text("at least one")
        page.get_by_label("Choose files").set_input_files(text)
        expect(page.get_by_role("alert")).to_be_hidden()
        page.get_by_role("button", name="Analyse").click()
        expect(page.get_by_role("alert")).to_contain_text("image")
        assert page.url.rstrip("/") == service.url
        # Chromium logs the rejected request as an error; there must be no other.
        rejections = [one for one in watched.errors if "status of 415" in one]
        assert watched.errors == rejections
        assert len(rejections) == 1
        watched.errors.clear()


def test_a_job_is_cancelled_and_deleted_by_keyboard(
    browser: Browser, service: RunningService, clip: Path
) -> None:
    with Client(service.url) as client:
        job = client.submit_files([(clip.name, clip)], {})
    with watched_page(browser) as watched:
        page = watched.page
        page.goto(f"{service.url}/jobs/{job.id}")
        page.get_by_role("button", name="Cancel job").press("Enter")
        expect(page.locator(".facts")).to_contain_text("Cancelled")
        page.locator("summary", has_text="Delete").press("Enter")
        page.get_by_role("button", name="Delete permanently").press("Enter")
        expect(page).to_have_url(f"{service.url}/jobs")
        assert job.id not in page.content()
    assert (
        httpx.get(f"{service.url}/api/v1/jobs/{job.id}", timeout=TIMEOUT_SECONDS).status_code == 404
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_pages_fit_a_phone(
    browser: Browser, service: RunningService, done: str, scheme: str
) -> None:
    with watched_page(browser, viewport=PHONE, color_scheme=scheme) as watched:
        for address in (
            service.url,
            f"{service.url}/jobs",
            done,
            f"{done}/faces",
            f"{done}/tracks",
            f"{done}/files",
            f"{service.url}/api/docs",
            f"{service.url}/problems/not-found",
        ):
            watched.page.goto(address)
            assert watched.fits_viewport(), address
            ground = watched.page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (ground == "rgb(15, 21, 24)") == (scheme == "dark")


def test_the_api_page_sends_requests(browser: Browser, service: RunningService) -> None:
    with watched_page(browser) as watched:
        page = watched.page
        page.goto(f"{service.url}/api/docs#roots_index")
        page.locator("#roots_index").get_by_role("button", name="Send").click()
        expect(page.locator("#roots_index .answer")).to_contain_text('"films"')


def test_signing_in_and_out_with_a_token(
    browser: Browser, tmp_path: Path, sqlite_template: Path
) -> None:
    with (
        running_web(tmp_path, sqlite_template, access_token=TOKEN) as service,
        watched_page(browser) as watched,
    ):
        page = watched.page
        page.goto(f"{service.url}/jobs?status=failed")
        expect(page).to_have_url(re.compile("/login"))
        page.get_by_label("Access token").fill(TOKEN)
        page.get_by_role("button", name="Sign in").click()
        expect(page).to_have_url(f"{service.url}/jobs?status=failed")
        # The cookie also authorises the page's API requests, so submitting works.
        picture = tmp_path / "gray.png"
        picture.write_bytes(png(64, 64))
        page.goto(service.url)
        page.get_by_label("Choose files").set_input_files(picture)
        page.get_by_role("button", name="Analyse").click()
        page.wait_for_url(JOB_PAGE)
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_url(re.compile("/login"))
        page.goto(f"{service.url}/jobs")
        expect(page).to_have_url(re.compile("/login"))
