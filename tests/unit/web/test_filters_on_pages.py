"""Filters of faces and tracks on the pages as they are served, without JavaScript."""

from __future__ import annotations

import re

import pytest

from faces_jobs.jobs.labels import HEADS
from faces_jobs_web.services import Services
from tests.unit.web import worked
from tests.unit.web.conforming import WebClient
from tests.unit.web.links import linked
from tests.unit.web.media_files import upload

CHIP = r'<a class="chip" href="([^"]+)"'


def test_the_faces_table_is_filtered_by_the_query_string(client: WebClient, done: str) -> None:
    def rows(query: str) -> int:
        text = client.get(f"/jobs/{done}/faces?{query}").text
        return len(re.findall(r"data-seek", text))

    assert rows("") == 12
    assert rows("gender=female&age=&track=&from_seconds=&to_seconds=") == 6
    assert rows("from_seconds=1&to_seconds=1.5") == 4
    assert rows("gender=male&track=1") == 0
    assert "No faces match" in client.get(f"/jobs/{done}/faces?expression=anger").text
    assert rows("gender=female&min_probability=0.7") == 3
    for query, message in (
        ("from_seconds=soon", "must be a number of seconds"),
        ("min_probability=0.5", "choose an attribute above"),
        ("gender=male&min_probability=2", "less than or equal to 1"),
    ):
        wrong = client.get(f"/jobs/{done}/faces?{query}")
        assert wrong.status_code == 200
        assert message in wrong.text


def test_the_filter_of_a_link_is_shown_kept_and_removable(client: WebClient, done: str) -> None:
    (link,) = {*linked(client.get(f"/jobs/{done}").text, r'href="([^"]+track=1)" data-filter')}
    page = client.get(f"{link}&gender=female").text
    assert "only &lt;img src=x onerror=alert(1)&gt;.png" in page
    assert len(re.findall("data-seek", page)) == 6
    assert re.search(r'<input type="hidden" name="item" value="\d+">', page), (
        "the form keeps the filter"
    )
    assert linked(page, CHIP) == [f"/jobs/{done}/faces?track=1&gender=female"]
    assert not linked(client.get(linked(page, CHIP)[0]).text, CHIP)


@pytest.mark.parametrize(
    ("query", "found", "shown"),
    [
        ("gender=female,male", 12, '<option value="female,male" selected>female or male'),
        ("gender=female&gender=male", 12, '<option value="female,male" selected>female or male'),
        ("gender_min_probability=0.95", 6, "gender min probability 0.95 "),
        ("max_time_ms=500", 4, "max time ms 500"),
        ("item=9", 0, "item 9"),
        (f"item={10**30}", 0, f"item {10**30}"),
        ("endpoint=x&job_id=y&_scheme=z", 0, "endpoint x"),
    ],
)
def test_filters_in_the_query_string_are_shown(
    client: WebClient, done: str, query: str, found: int, shown: str
) -> None:
    page = client.get(f"/jobs/{done}/faces?{query}").text
    assert len(re.findall("data-seek", page)) == found
    assert shown.strip() in page


def test_the_page_of_a_job_filters_its_faces_as_well(client: WebClient, done: str) -> None:
    page = client.get(f"/jobs/{done}?gender=male&track=2&limit=5").text
    assert page.count('class="mono quiet">60, 10') == 5
    assert 'class="mono quiet">10, 10' not in page
    assert "<option selected>male" in page
    assert f"/jobs/{done}/faces?gender=male&amp;track=2&amp;limit=5&amp;cursor=" in page
    assert "<h3>Track 1" in page, "tracks are not filtered"


def test_links_to_the_next_page_keep_all_filters(client: WebClient, done: str) -> None:
    for part in ("faces", "tracks"):
        query = "gender=female&gender=male&limit=1"
        page = client.get(f"/jobs/{done}/{part}?{query}").text
        (next_page,) = linked(page, r'rel="next" href="([^"]+)"')
        assert next_page.startswith(f"/jobs/{done}/{part}?{query}&cursor=")
    tracks = client.get(f"/jobs/{done}/tracks?gender_max_probability=0.99&item=1").text
    assert "gender max probability 0.99" in tracks
    assert f"/jobs/{done}/tracks?item=1" in linked(tracks, CHIP)


def test_tracks_are_filtered_by_the_form(client: WebClient, done: str) -> None:
    def shown(query: str) -> list[str]:
        page = client.get(f"/jobs/{done}/tracks?{query}").text
        assert len(re.findall(r"<select name=", page)) == len(HEADS)
        return re.findall(r"<h2>(Track \d+)</h2>", page)

    assert shown("") == ["Track 1", "Track 2"]
    assert shown("gender=female&age=&from_seconds=&to_seconds=") == ["Track 1"]
    assert shown("from_seconds=60") == []
    nothing = client.get(f"/jobs/{done}/tracks?expression=anger&min_probability=1").text
    assert "No tracks match these filters." in nothing
    assert "<option selected>anger</option>" in nothing
    wrong = client.get(f"/jobs/{done}/tracks?min_probability=0.5")
    assert wrong.status_code == 200
    assert "Min. probability: choose an attribute above" in wrong.text
    assert "No tracks match" not in wrong.text


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("from_seconds=-1", "From, seconds: Input should be greater"),
        ("gender=male&min_probability=2", "Min. probability: Input should be less"),
        ("min_score=x", "Min. score: Input should be a valid number"),
    ],
)
def test_errors_name_fields_as_the_form_does(
    client: WebClient, done: str, query: str, message: str
) -> None:
    assert message in client.get(f"/jobs/{done}/faces?{query}").text


def test_pages_show_unsure_attributes_and_filter_by_them(
    client: WebClient, services: Services
) -> None:
    job_id = client.post("/api/v1/jobs", data={"files": upload()}).json["id"]
    worked.finish(services.database, services.storage, job_id, expression="unsure")
    for part in ("", "/tracks", "/faces"):
        page = client.get(f"/jobs/{job_id}{part}").text
        assert re.search(r'<span class="quiet" title="[^"]+80.%">unsure</span>', page), part
    filtered = client.get(f"/jobs/{job_id}/faces?expression=unsure").text
    assert len(re.findall(r"data-seek", filtered)) == 12
    assert "<option selected>unsure</option>" in filtered
    assert "No faces match" in client.get(f"/jobs/{job_id}/faces?expression=happiness").text
