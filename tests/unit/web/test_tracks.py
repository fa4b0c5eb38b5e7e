"""GET /api/v1/jobs/{id}/tracks: tracks, their thumbnails and filters."""

from __future__ import annotations

import pytest

from faces_jobs_web.services import Services
from tests.unit.web import worked
from tests.unit.web.conforming import WebClient
from tests.unit.web.media_files import upload
from tests.unit.web.problems import assert_problem


@pytest.fixture
def address(client: WebClient, services: Services) -> str:
    job_id = client.post("/api/v1/jobs", data={"files": upload()}).json["id"]
    worked.finish(services.database, services.storage, job_id)
    return f"/api/v1/jobs/{job_id}/tracks"


def test_tracks_have_settled_attributes_and_a_thumbnail(client: WebClient, address: str) -> None:
    first, second = client.get(address).json["tracks"]
    assert (first["track"], second["track"]) == (1, 2)
    assert first["attributes"]["gender"] == {"label": "female", "probability": 0.93}
    thumbnail = address.replace("tracks", f"artifacts/{first['thumbnail_artifact_id']}")
    assert client.get(thumbnail).mimetype == "image/png"
    assert second["thumbnail_artifact_id"] is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("gender=male", [2]),
        ("gender=male,female", [1, 2]),
        ("gender_min_probability=0.95", []),
        ("min_time_ms=2500", [1, 2]),
        ("min_time_ms=2501", []),
        ("limit=1", [1]),
    ],
)
def test_tracks_are_filtered(
    client: WebClient, address: str, query: str, expected: list[int]
) -> None:
    found = client.get(f"{address}?{query}").json["tracks"]
    assert [track["track"] for track in found] == expected


@pytest.mark.parametrize(
    ("query", "wrong"), [("track=1", "track"), ("min_score=0.5", "min_score"), ("age=9", "age")]
)
def test_an_invalid_filter_is_named(
    client: WebClient, address: str, query: str, wrong: str
) -> None:
    assert_problem(client.get(f"{address}?{query}"), 422, "invalid-options", fields={wrong})
