"""Pausing, resuming, retrying and changing jobs by the API and on a job's page."""

from __future__ import annotations

import io
import uuid

import pytest

from faces_jobs.db.session import Database
from faces_jobs.results import get_job
from faces_jobs_web.services import Services
from tests.unit.web import worked
from tests.unit.web.conforming import WebClient
from tests.unit.web.media_files import upload
from tests.unit.web.problems import assert_problem

JOBS = "/api/v1/jobs"


def submit(client: WebClient, **fields: str) -> str:
    response = client.post(JOBS, data={"files": upload(), **fields})
    assert response.status_code == 201
    return str(response.json["id"])


def test_a_job_is_paused_and_resumed(client: WebClient, services: Services) -> None:
    job_id = submit(client)
    for _ in range(2):
        response = client.post(f"{JOBS}/{job_id}/pause")
        assert (response.status_code, response.json["status"]) == (200, "paused")
    assert worked.claim(services.database, job_id) == []

    for _ in range(2):
        response = client.post(f"{JOBS}/{job_id}/resume")
        assert (response.status_code, response.json["status"]) == (200, "queued")
    assert len(worked.claim(services.database, job_id)) == 1


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_an_ended_job_is_neither_paused_nor_resumed(
    client: WebClient, services: Services, action: str
) -> None:
    job_id = submit(client)
    worked.finish(services.database, services.storage, job_id)
    assert_problem(client.post(f"{JOBS}/{job_id}/{action}"), 409, "state")


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_an_unknown_job_is_404(client: WebClient, action: str) -> None:
    assert_problem(client.post(f"{JOBS}/{uuid.uuid4()}/{action}"), 404, "not-found")


def test_the_page_shows_the_buttons_of_the_job_s_state(
    client: WebClient, database: Database
) -> None:
    job_id = submit(client)

    def page() -> str:
        return str(client.get(f"/jobs/{job_id}").text)

    def press(action: str) -> None:
        token = page().partition('name="form_token" value="')[2].partition('"')[0]
        response = client.post(f"/jobs/{job_id}/{action}", data={"form_token": token})
        assert response.status_code == 303

    assert "Pause</button>" in page()
    assert "Resume</button>" not in page()
    press("pause")
    assert get_job(database, job_id).status == "paused"
    assert "Pause</button>" not in page()
    assert "waiting to be resumed" in page()
    press("resume")
    assert get_job(database, job_id).status == "queued"
    assert client.post(f"/jobs/{job_id}/pause").status_code == 403, "the form token is required"
    assert client.post(f"/jobs/{job_id}/dance").status_code == 404


def test_the_priority_is_changed(client: WebClient) -> None:
    job_id = submit(client, priority="low")
    assert client.get(f"{JOBS}/{job_id}").json["options"]["priority"] == "low"

    response = client.open(f"{JOBS}/{job_id}", json={"priority": "high"}, method="PATCH")

    assert response.status_code == 200
    assert client.get(f"{JOBS}/{job_id}").json["options"]["priority"] == "high"


def test_the_page_of_a_paused_job_does_not_seem_to_do_anything(
    client: WebClient, services: Services
) -> None:
    job_id = client.post("/api/v1/jobs", data={"files": (io.BytesIO(worked.MP4), "a.mp4")}).json[
        "id"
    ]
    worked.claim(services.database, job_id)
    assert client.get(f"/jobs/{job_id}/items").text.count("status-running") == 1
    assert "<progress" in client.get(f"/jobs/{job_id}").text
    client.post(f"/api/v1/jobs/{job_id}/pause")
    page = client.get(f"/jobs/{job_id}").text
    assert "status-running" not in page
    assert "<progress" not in page, "without a value the bar would move"
    assert client.get(f"/jobs/{job_id}/items").text.count("status-paused") == 1


@pytest.mark.parametrize(
    "change", [{}, {"priority": "urgent"}, {"priority": 1}, {"priority": "low", "label": "x"}]
)
def test_an_invalid_change_is_rejected(client: WebClient, change: dict[str, object]) -> None:
    response = client.open(f"{JOBS}/{submit(client)}", json=change, method="PATCH")
    assert_problem(
        response, 422, "invalid-options", fields={list(change)[-1] if change else "priority"}
    )


def test_a_change_that_is_no_object_is_rejected_in_words_of_the_api(client: WebClient) -> None:
    response = client.open(f"{JOBS}/{submit(client)}", json=["high"], method="PATCH")
    assert_problem(response, 422, "invalid-options", fields={"body"})
    assert response.json["fields"]["body"] == "must be a JSON object with the priority"


def test_the_error_for_a_body_that_is_too_long_names_the_limit(client: WebClient) -> None:
    job_id = client.post(JOBS, data={"files": upload()}).json["id"]
    long = {"priority": "x" * 2_000_000}
    for path, sent in ((f"{JOBS}/{job_id}", {"json": long}), ("/login", {"data": long})):
        response = client.open(path, method="PATCH" if "json" in sent else "POST", **sent)
        assert response.status_code == 413
        assert "more than 1,048,576 bytes" in response.text


def test_a_job_has_the_owner_of_the_header(client: WebClient) -> None:
    named = client.post(JOBS, data={"files": upload()}, headers={"Faces-Owner": " archive "})
    assert named.json["owner"] == "archive"
    assert client.post(JOBS, data={"files": upload()}).json["owner"] == ""
    assert "archive" in client.get(f"/jobs/{named.json['id']}").text
    for name in ("Zoë", "佐藤"):
        # Headers are bytes, here UTF-8; the test client encodes them as Latin-1.
        sent = {"Faces-Owner": name.encode().decode("latin-1")}
        assert client.post(JOBS, data={"files": upload()}, headers=sent).json["owner"] == name
    broken = client.post(JOBS, data={"files": upload()}, headers={"Faces-Owner": "Zo\xeb"})
    assert_problem(broken, 400, "bad-request")
    long = client.post(JOBS, data={"files": upload()}, headers={"Faces-Owner": "x" * 129})
    assert_problem(long, 422, "invalid-options", fields={"owner"})


def test_failed_items_are_retried_by_the_api_and_the_page_offers_it(
    client: WebClient, services: Services
) -> None:
    job_id = submit(client)
    assert_problem(client.post(f"{JOBS}/{job_id}/retry"), 409, "state")
    (claim,) = worked.claim(services.database, job_id)
    worked.fail(services.database, claim, "source", "The file is gone.")
    worked.finish_exports(services.database, services.storage, job_id)
    assert "Retry</button>" in client.get(f"/jobs/{job_id}").text

    response = client.post(f"{JOBS}/{job_id}/retry")

    assert (response.status_code, response.json["status"]) == (200, "queued")
    assert len(worked.claim(services.database, job_id)) == 1
    assert "Retry</button>" not in client.get(f"/jobs/{job_id}").text
    assert_problem(client.post(f"{JOBS}/{uuid.uuid4()}/retry"), 404, "not-found")
