"""The pages as they are served, without JavaScript."""

from __future__ import annotations

import io
import re

import pytest
from sqlalchemy import update

from faces_jobs.db.claims.leases import renew_segment
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ArtifactRow
from faces_jobs.results import get_job
from faces_jobs_web.pages import jobs as job_pages
from faces_jobs_web.services import Services
from tests.unit.web import worked
from tests.unit.web.conforming import WebClient
from tests.unit.web.links import linked
from tests.unit.web.media_files import XSS, upload
from tests.unit.web.test_guard import form_token_of
from tests.unit.web.test_openapi import PageParser


@pytest.fixture
def token(client: WebClient) -> str:
    return form_token_of(client.get("/").text)


def test_a_missing_annotated_copy_is_reported(
    client: WebClient, done: str, services: Services
) -> None:
    before = client.get(f"/jobs/{done}").text
    with services.database.begin() as session:
        session.execute(update(ArtifactRow).values(missing_since=1.0))
    for path in (f"/jobs/{done}", f"/jobs/{done}/files", f"/jobs/{done}/items/1"):
        page = client.get(path).text
        assert "issing from the server" in page, path
        assert " download " not in page, path
    assert " download " in before
    assert "issing from the server" not in before


def test_all_files_are_downloaded_by_one_button_if_there_are_any(
    client: WebClient, done: str
) -> None:
    button = f'<a class="button" href="/api/v1/jobs/{done}/archive" download>Download all'
    for path in (f"/jobs/{done}", f"/jobs/{done}/files"):
        assert button in client.get(path).text, path
    waiting = client.post("/api/v1/jobs", data={"files": upload()}).json["id"]
    for path in (f"/jobs/{waiting}", f"/jobs/{waiting}/files"):
        assert "Download all" not in client.get(path).text, path
    assert "There are no files to download yet." in client.get(f"/jobs/{waiting}/files").text


def test_files_are_chosen_by_their_kind(client: WebClient, done: str) -> None:
    files = f"/jobs/{done}/files"
    assert f'<a class="chip" href="{files}" aria-current="page">All 4</a>' in client.get(files).text
    assert (
        f'<a class="chip" href="{files}?kind=thumbnail">Thumbnail 1</a>' in client.get(files).text
    )
    page = client.get(f"{files}?item=1&kind=thumbnail").text
    chosen = f'href="{files}?item=1&amp;kind=thumbnail" aria-current="page">Thumbnail 1</a>'
    assert chosen in page
    assert f'href="{files}?item=1">All 3</a>' in page
    assert f'href="/api/v1/jobs/{done}/archive?item=1&amp;kind=thumbnail" download' in page
    assert page.count("Remove filter") == 1, "only that of the item: the kind is a choice"
    unknown = client.get(f"{files}?kind=none").text
    assert "Remove filter: kind none" in unknown
    assert "No files match." in unknown


def test_an_image_links_to_its_page_and_its_caption_to_the_download(
    client: WebClient, done: str
) -> None:
    gallery = client.get(f"/jobs/{done}").text.partition('<div class="gallery">')[2]
    figure = gallery.partition("</figure>")[0]
    assert f'<a href="/jobs/{done}/items/1"><img' in figure
    assert re.search(r" download>Download <span .*</span><span .*> .*&lt;img", figure)


def test_the_list_shows_jobs_and_filters_them(client: WebClient, done: str) -> None:
    waiting = client.post("/api/v1/jobs", data={"files": upload(), "label": "Lake"}).json["id"]
    page = client.get("/jobs").text
    assert f"/jobs/{done}" in page
    assert f"/jobs/{waiting}" in page
    page = client.get("/jobs?status=queued&label=").text
    assert f"/jobs/{done}" not in page
    nothing = client.get("/jobs?label=Sea").text
    assert "No jobs match" in nothing
    assert 'href="/jobs">Clear</a>' in nothing
    assert "Clear" not in client.get("/jobs").text
    assert client.get("/jobs?status=nonsense").status_code == 422


def test_a_cancelled_job_is_not_listed_as_complete(client: WebClient) -> None:
    job_id = client.post("/api/v1/jobs", data={"files": upload()}).json["id"]
    client.post(f"/api/v1/jobs/{job_id}/cancel")
    assert not re.search(r'data-name="Progress">\d', client.get("/jobs").text)


def test_a_cancelled_file_is_not_shown_as_complete(client: WebClient, database: Database) -> None:
    job_id = client.post("/api/v1/jobs", data={"files": upload()}).json["id"]
    (claim,) = worked.claim(database, job_id)
    renew_segment(database, claim, lease_seconds=60, frames_done=30, frames_total=120)
    assert ">30 of 120 frames</td>" in client.get(f"/jobs/{job_id}/items").text
    client.post(f"/api/v1/jobs/{job_id}/cancel")
    assert ">30 frames</td>" in client.get(f"/jobs/{job_id}/items").text


def test_the_list_of_jobs_has_pages(client: WebClient) -> None:
    ids = {client.post("/api/v1/jobs", data={"files": upload()}).json["id"] for _ in range(3)}
    first = client.get("/jobs?limit=2").text
    next_link = re.search(r'rel="next" href="([^"]+)"', first)
    assert next_link is not None
    second = client.get(next_link[1].replace("&amp;", "&")).text
    seen = [set(re.findall(r"/jobs/([0-9a-f-]{36})", page)) for page in (first, second)]
    assert seen[0] | seen[1] == ids
    assert not seen[0] & seen[1]


def test_empty_lists_suggest_what_to_do(client: WebClient) -> None:
    assert "No jobs yet" in client.get("/").text
    assert "Submit the first" in client.get("/jobs").text


def test_a_running_job_shows_its_progress_and_a_cancel_button(
    client: WebClient, database: Database
) -> None:
    job_id = client.post("/api/v1/jobs", data={"files": upload()}).json["id"]
    queued = client.get(f"/jobs/{job_id}/live")
    headers = {"If-None-Match": queued.headers["ETag"]}
    assert client.get(f"/jobs/{job_id}/live", headers=headers).status_code == 304
    worked.claim(database, job_id)
    page = client.get(f"/jobs/{job_id}").text
    assert "<progress" in page
    assert "Cancel job" in page
    assert f'<noscript><a class="button" href="/jobs/{job_id}">Reload' in page
    live = client.get(f"/jobs/{job_id}/live", headers=headers)
    assert live.status_code == 200
    assert 'data-ended="no"' in live.text
    assert 'data-status="running"' in live.text


def test_a_finished_job_shows_its_results(client: WebClient, done: str) -> None:
    page = client.get(f"/jobs/{done}").text
    assert "Cancel job" not in page
    assert "<noscript>" not in page
    assert re.search(r"<video controls[^>]+src=\"/api/v1/jobs/[^\"]+inline=true\"", page)
    assert "Track 1" in page
    assert "Track 2" in page
    assert page.count("<tr>") > worked.FRAMES * 2
    assert "faces.csv" in page
    assert "Best view of track 1" in page


@pytest.mark.parametrize("part", ["", "/live", "/items", "/tracks", "/faces", "/files"])
def test_hostile_names_are_escaped(client: WebClient, done: str, part: str) -> None:
    for path in (f"/jobs/{done}{part}", "/jobs", "/"):
        page = client.get(path)
        assert page.status_code == 200
        assert XSS not in page.text
        assert "&lt;img src=x onerror=alert(1)&gt;" in page.text
        parser = PageParser()
        parser.feed(page.text)
        assert parser.inline == []
        assert all(address.startswith(("/static/", "/api/v1/")) for address in parser.addresses)


def test_links_of_cards_name_their_track(client: WebClient, done: str) -> None:
    for path in (f"/jobs/{done}", f"/jobs/{done}/tracks"):
        text = client.get(path).text
        links = re.findall(r"<a [^>]*>(Show.*?)</a>", text)
        names = [re.sub("<[^>]*>", "", link) for link in links]
        assert "Show faces of track 2" in names
        assert len(set(names)) == len(names) >= 4, path


def test_a_file_links_to_its_tracks_and_faces_if_it_has_any(client: WebClient, done: str) -> None:
    page = client.get(f"/jobs/{done}/items/1").text
    for part in ("tracks", "faces"):
        (link,) = linked(page, f'href="([^"]+/{part}[^"]+)"')
        assert "only &lt;img" in client.get(link).text
    waiting = client.post("/api/v1/jobs", data={"files": upload()}).json["id"]
    (item,) = client.get(f"/api/v1/jobs/{waiting}/items").json["items"]
    assert "Show faces" not in client.get(f"/jobs/{waiting}/items/{item['id']}").text


def test_a_link_to_a_time_leads_to_the_video_that_shows_it(client: WebClient, done: str) -> None:
    for part in ("", "/tracks", "/faces"):
        page = client.get(f"/jobs/{done}{part}").text
        links = re.findall(r'href="([^"]*)" data-seek="([\d.]+)" data-item="(\d+)"', page)
        assert links, part
        for path, seconds, item_id in links:
            assert f"/items/{item_id}" in path
            fragment = f"#t={seconds}" if float(seconds) else ""
            shown = client.get(path).text
            assert re.search(rf'<video [^>]*src="/api/[^"#]*{fragment}"', shown), path
    # On the job's page, which has the video itself, the script seeks it by its element id.
    assert set(re.findall(r'data-item="(\d+)"', client.get(f"/jobs/{done}").text)) == set(
        re.findall(r'id="item-(\d+)"', client.get(f"/jobs/{done}").text)
    )


def test_every_file_of_a_large_job_is_reachable_by_links(
    client: WebClient, services: Services
) -> None:
    names = [f"{number:02}.png" for number in range(job_pages.MAX_SHOWN_IMAGES + 4)]
    uploads = {"files": [upload(name) for name in names]}
    job_id = client.post("/api/v1/jobs", data=uploads).json["id"]
    worked.finish(services.database, services.storage, job_id)
    path: str | None = f"/jobs/{job_id}/tracks"
    shown = set()
    while path is not None:
        page = client.get(path).text
        for link in set(re.findall(r'href="([^"]*)" data-seek', page)):
            item = client.get(link).text
            (address,) = re.findall(r'<video [^>]*src="([^"#]*)', item)
            assert client.get(address.replace("&amp;", "&")).status_code == 200
            shown |= set(re.findall(r"<h1[^>]*>([^<]+)</h1>", item))
        next_link = re.search(r'rel="next" href="([^"]+)"', page)
        path = next_link and next_link[1].replace("&amp;", "&")
    assert shown == set(names)


def test_a_job_of_many_files_says_that_it_shows_only_the_first(
    client: WebClient, services: Services
) -> None:
    notice = "Only the first copies are shown here."
    for count in (job_pages.MAX_SHOWN_IMAGES + 1, 1):
        files = [upload(f"{number:02}.png") for number in range(count)]
        job_id = client.post("/api/v1/jobs", data={"files": files}).json["id"]
        worked.finish(services.database, services.storage, job_id)
        page = client.get(f"/jobs/{job_id}").text
        assert (notice in page) == (count > 1)
    every = client.get(f"/jobs/{job_id}/items").text
    (link,) = linked(every, r'href="([^"]+/items/\d+)">00\.png</a>')
    assert "<video" in client.get(link).text


def test_a_retry_is_offered_only_if_something_can_be_retried(
    client: WebClient, services: Services
) -> None:
    files = [upload("a.png"), (io.BytesIO(b"no picture"), "notes.txt")]
    refused = client.post("/api/v1/jobs", data={"files": files}).json["id"]
    assert worked.finish(services.database, services.storage, refused) == "succeeded_with_errors"
    assert "Retry" not in client.get(f"/jobs/{refused}").text
    assert client.get(f"/api/v1/jobs/{refused}").json["can_retry"] is False
    cancelled = client.post("/api/v1/jobs", data={"files": upload()}).json["id"]
    client.post(f"/api/v1/jobs/{cancelled}/cancel")
    assert "Retry" in client.get(f"/jobs/{cancelled}").text


def test_a_file_of_another_job_is_not_shown(client: WebClient, done: str) -> None:
    (item,) = client.get(f"/api/v1/jobs/{done}/items").json["items"]
    other = client.post("/api/v1/jobs", data={"files": upload()}).json["id"]
    assert client.get(f"/jobs/{other}/items/{item['id']}").status_code == 404
    assert client.get(f"/jobs/{done}/items/{item['id']}?at=soon").status_code == 422
    (waiting,) = client.get(f"/api/v1/jobs/{other}/items").json["items"]
    path = f"/jobs/{other}/items/{waiting['id']}"
    assert "This file has no annotated copy yet." in client.get(path).text
    client.post(f"/api/v1/jobs/{other}/cancel")
    assert "This file has no annotated copy." in client.get(path).text


@pytest.mark.parametrize(
    ("damaged_frames", "notice"),
    [
        (1, "1 damaged frame was left out, or is shown in part"),
        (1234, "1,234 damaged frames were left out, or are shown in part"),
    ],
)
def test_damaged_frames_are_reported(
    client: WebClient, services: Services, damaged_frames: int, notice: str
) -> None:
    job_id = client.post("/api/v1/jobs", data={"files": upload()}).json["id"]
    worked.finish(services.database, services.storage, job_id, damaged_frames=damaged_frames)
    assert client.get(f"/jobs/{job_id}").text.count(notice) == 2, "for the job and for the file"
    assert notice in client.get(f"/jobs/{job_id}/items").text
    assert client.get(f"/api/v1/jobs/{job_id}").json["damaged_frames"] == damaged_frames
    (item,) = client.get(f"/api/v1/jobs/{job_id}/items").json["items"]
    assert item["damaged_frames"] == damaged_frames


def test_undamaged_files_have_no_damage_notice(client: WebClient, done: str) -> None:
    assert "damaged" not in client.get(f"/jobs/{done}").text


def test_thresholds_are_shown_with_the_models(client: WebClient, done: str) -> None:
    assert "gender unsure below 70\u202f%" in client.get(f"/jobs/{done}").text
    (model,) = client.get(f"/api/v1/jobs/{done}").json["models"]
    assert model["unsure_below"] == {"gender": 0.7}


def test_the_faces_table_has_pages(client: WebClient, done: str) -> None:
    first = client.get(f"/jobs/{done}/faces?gender=female&limit=4").text
    next_link = re.search(r'rel="next" href="([^"]+)"', first)
    assert next_link is not None
    second = client.get(next_link[1].replace("&amp;", "&")).text
    assert len(re.findall(r"data-seek", second)) == 2
    assert "First page" in second


def test_a_job_is_cancelled_and_deleted_from_its_page(
    client: WebClient, database: Database, token: str
) -> None:
    job_id = client.post("/api/v1/jobs", data={"files": upload()}).json["id"]
    response = client.post(f"/jobs/{job_id}/cancel", data={"form_token": token})
    assert response.headers["Location"] == f"/jobs/{job_id}"
    assert get_job(database, job_id).status == "cancelled"
    response = client.post(f"/jobs/{job_id}/delete", data={"form_token": token})
    assert response.headers["Location"] == "/jobs"
    assert client.get(f"/jobs/{job_id}").status_code == 404


def test_the_page_shows_the_error_of_a_failed_file(client: WebClient, services: Services) -> None:
    job_id = client.post("/api/v1/jobs", data={"files": upload()}).json["id"]
    (claim,) = worked.claim(services.database, job_id)
    worked.fail(services.database, claim, "truncated", f"It ends too soon {XSS}.")
    worked.finish_exports(services.database, services.storage, job_id)
    page = client.get(f"/jobs/{job_id}").text
    assert "It ends too soon" in page
    assert XSS not in page
    assert "Failed" in page


def test_an_unknown_page_is_404_and_html(client: WebClient) -> None:
    for path in ("/jobs/nothing", "/jobs/00000000-0000-4000-8000-000000000000", "/x/y"):
        response = client.get(path)
        assert response.status_code == 404
        assert response.mimetype == "text/html"


def test_every_field_of_every_page_has_a_label(client: WebClient, done: str) -> None:
    for path in ("/", "/jobs", f"/jobs/{done}", f"/jobs/{done}/faces", "/api/docs"):
        page = client.get(path).text
        outside = re.sub(r"<label.*?</label>", "", page, flags=re.DOTALL)
        fields = re.findall(r"<(?:input|select|textarea)[^>]*>", outside)
        assert [field for field in fields if 'type="hidden"' not in field] == [], path
        assert page.count("<h1") == 1, path
        assert 'id="main"' in page, path
        assert 'lang="en"' in page, path
