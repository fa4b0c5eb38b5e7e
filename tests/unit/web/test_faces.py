"""GET /api/v1/jobs/{id}/faces and GET /api/v1/faces: contents, filters and pages."""

from __future__ import annotations

from typing import Any

import pytest

from faces_jobs_web.services import Services
from tests.unit.web import worked
from tests.unit.web.conforming import WebClient
from tests.unit.web.media_files import upload
from tests.unit.web.problems import assert_problem


@pytest.fixture
def job_id(client: WebClient, services: Services) -> str:
    """A finished job with two tracks of six faces each, one female and one male."""
    job = client.post("/api/v1/jobs", data={"files": upload("clip.png")}).json["id"]
    worked.finish(services.database, services.storage, job)
    return str(job)


def faces(client: WebClient, job_id: str, query: str = "") -> list[dict[str, Any]]:
    response = client.get(f"/api/v1/jobs/{job_id}/faces?{query}")
    assert response.status_code == 200, response.text
    return list(response.json["faces"])


def test_a_face_has_its_item_frame_box_and_attributes(client: WebClient, job_id: str) -> None:
    first = faces(client, job_id)[0]
    assert first["item_name"] == "clip.png"
    assert (first["frame_index"], first["face_index"], first["track"]) == (0, 0, 1)
    assert first["time_ms"] == 0.0
    assert first["box"] == {"left": 10.0, "top": 10.0, "right": 40.0, "bottom": 50.0}
    assert first["attributes"]["gender"] == {"label": "female", "probability": 0.5}
    assert len(first["attributes"]) == 7


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("gender=female", 6),
        ("gender=female,male", 12),
        ("gender=female&gender=male", 12),
        ("gender=female&gender_min_probability=0.7", 3),
        ("gender=female&gender_max_probability=0.7", 3),
        ("gender_min_probability=0.95", 6),
        ("track=2", 6),
        ("min_time_ms=1000&max_time_ms=1500", 4),
        ("min_score=0.7", 6),
        ("gender=female&track=2", 0),
        ("expression=anger", 0),
        ("pose=frontal,left&age=young&makeup=partial&illumination=high&occlusion=none", 12),
    ],
)
def test_faces_pass_all_given_filters(
    client: WebClient, job_id: str, query: str, expected: int
) -> None:
    assert len(faces(client, job_id, query)) == expected


def test_unsure_is_filtered_like_a_label(client: WebClient, services: Services) -> None:
    job = client.post("/api/v1/jobs", data={"files": upload("clip.png")}).json["id"]
    worked.finish(services.database, services.storage, job, expression="unsure")
    first = faces(client, job, "expression=unsure")[0]
    assert first["attributes"]["expression"] == {"label": "unsure", "probability": 0.8}
    assert len(faces(client, job, "expression=unsure,anger&expression_max_probability=0.8")) == 12
    assert faces(client, job, "expression=happiness") == []
    assert faces(client, job, "gender=unsure") == []
    tracks = client.get(f"/api/v1/jobs/{job}/tracks?expression=unsure").json["tracks"]
    assert [track["track"] for track in tracks] == [1, 2]


def test_faces_are_filtered_by_item(client: WebClient, job_id: str) -> None:
    item = client.get(f"/api/v1/jobs/{job_id}/items").json["items"][0]["id"]
    assert len(faces(client, job_id, f"item={item}")) == 12
    assert faces(client, job_id, f"item={item + 1}") == []


def test_pages_neither_skip_nor_repeat_faces(client: WebClient, job_id: str) -> None:
    seen = []
    cursor = ""
    while True:
        query = f"limit=5&gender=female,male&{cursor}"
        page = client.get(f"/api/v1/jobs/{job_id}/faces?{query}").json
        seen += [(face["frame_index"], face["face_index"]) for face in page["faces"]]
        if page["next_cursor"] is None:
            break
        cursor = f"cursor={page['next_cursor']}"
    assert seen == [(frame, face) for frame in range(worked.FRAMES) for face in (0, 1)]


def test_faces_are_found_across_jobs(client: WebClient, job_id: str, services: Services) -> None:
    other = client.post("/api/v1/jobs", data={"files": upload("b.png", 3)}).json["id"]
    worked.finish(services.database, services.storage, other)
    found = client.get("/api/v1/faces?gender=male&limit=1000").json["faces"]
    assert {face["job_id"] for face in found} == {job_id, other}
    assert len(found) == 12


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("gender=woman", "gender"),
        ("gendre=female", "gendre"),
        ("gender_min_probability=1.1", "gender_min_probability"),
        ("gender_min_probability=nan", "gender_min_probability"),
        ("min_time_ms=-1", "min_time_ms"),
        ("min_score=high", "min_score"),
        ("track=1&track=2", "track"),
        (f"item={2**63}", "item"),
        ("limit=1001", "limit"),
        ("limit=1_0", "limit"),
        ("track=1_0", "track"),
        ("min_time_ms=1_0.5", "min_time_ms"),
        ("cursor=%00", "cursor"),
        ("cursor=W10", "cursor"),
    ],
)
def test_an_invalid_filter_is_named(client: WebClient, job_id: str, query: str, wrong: str) -> None:
    for address in (f"/api/v1/jobs/{job_id}/faces", "/api/v1/faces"):
        response = client.get(f"{address}?{query}")
        assert_problem(response, 422, "invalid-options", fields={wrong})
