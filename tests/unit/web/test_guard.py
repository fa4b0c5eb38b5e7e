"""Checks of every request (host, origin, form token) and security headers of every response."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from faces_jobs.db.session import Database
from faces_jobs.results import list_jobs
from faces_jobs_web.services import Services
from tests.unit.web import worked
from tests.unit.web.conforming import WebClient, client_of
from tests.unit.web.conftest import TOKEN
from tests.unit.web.media_files import upload
from tests.unit.web.problems import assert_no_leak, assert_problem

JOBS = "/api/v1/jobs"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:80", "127.0.0.9"])
def test_loopback_hosts_are_answered(client: WebClient, host: str) -> None:
    assert client.get(JOBS, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::"]
)
def test_other_hosts_are_refused_without_a_token(client: WebClient, host: str) -> None:
    for path in (JOBS, "/", "/healthz", "/static/style.css"):
        response = client.get(path, headers={"Host": host})
        assert response.status_code in {400, 421}, path
        assert_no_leak(response)


def test_any_host_is_answered_with_a_token(guarded: Flask) -> None:
    headers = {"Host": "faces.example", **BEARER}
    assert client_of(guarded).get(JOBS, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Origin": "http://["},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_unsafe_requests_from_other_sites_are_refused(
    client: WebClient, services: Services, headers: dict[str, str]
) -> None:
    job_id = client.post(JOBS, data={"files": upload()}).json["id"]
    for method, path in (
        ("POST", JOBS),
        ("POST", f"{JOBS}/{job_id}/cancel"),
        ("DELETE", f"{JOBS}/{job_id}"),
    ):
        assert_problem(client.open(path, method=method, headers=headers), 403, "forbidden")
    for path in ("/", f"/jobs/{job_id}/cancel", f"/jobs/{job_id}/delete"):
        assert client.post(path, headers=headers).status_code == 403
    (job,) = list_jobs(services.database).jobs
    assert job.status == "queued"


def test_json_sent_as_plain_text_is_checked_for_its_origin(
    client: WebClient, database: Database
) -> None:
    response = client.post(
        JOBS,
        data='{"root": "films", "path": ""}',
        content_type="text/plain",
        headers={"Origin": "https://evil.example"},
    )
    assert_problem(response, 403, "forbidden")
    assert list_jobs(database).jobs == []


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}],
)
def test_requests_of_own_pages_and_of_programs_are_accepted(
    client: WebClient, headers: dict[str, str]
) -> None:
    response = client.post(JOBS, data={"files": upload()}, headers=headers)
    assert response.status_code == 201


@pytest.mark.parametrize("action", ["cancel", "delete"])
def test_a_form_without_its_token_changes_nothing(
    client: WebClient, database: Database, action: str
) -> None:
    job_id = client.post(JOBS, data={"files": upload()}).json["id"]
    client.get(f"/jobs/{job_id}")
    for token in (None, "", "0" * 64):
        data = {} if token is None else {"form_token": token}
        response = client.post(f"/jobs/{job_id}/{action}", data=data)
        assert response.status_code == 403
        assert "out of date" in response.text
    (job,) = list_jobs(database).jobs
    assert job.status == "queued"


def test_a_form_token_is_valid_only_in_its_own_browser(
    app: Flask, client: WebClient, database: Database
) -> None:
    job_id = client.post(JOBS, data={"files": upload()}).json["id"]
    page = client_of(app).get(f"/jobs/{job_id}").text  # another browser's
    client.get(f"/jobs/{job_id}")
    token = form_token_of(page)
    assert client.post(f"/jobs/{job_id}/cancel", data={"form_token": token}).status_code == 403
    own = form_token_of(client.get(f"/jobs/{job_id}").text)
    assert client.post(f"/jobs/{job_id}/cancel", data={"form_token": own}).status_code == 303
    (job,) = list_jobs(database).jobs
    assert job.status == "cancelled"


def test_the_form_cookie_is_restricted_to_this_site(client: WebClient) -> None:
    (cookie,) = client.get("/").headers.getlist("Set-Cookie")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Secure" not in cookie
    again = client.get("/")
    assert "Set-Cookie" not in again.headers


def test_the_form_cookie_is_secure_behind_https(app: Flask) -> None:
    response = client_of(app).get("/", headers={"X-Forwarded-Proto": "https"})
    assert "Secure" in response.headers["Set-Cookie"]


def test_every_response_has_the_security_headers(client: WebClient, services: Services) -> None:
    job_id = client.post(JOBS, data={"files": upload()}).json["id"]
    worked.finish(services.database, services.storage, job_id)
    paths = ["/", "/jobs", f"/jobs/{job_id}", "/api/docs", JOBS, f"{JOBS}/{job_id}/faces"]
    paths += ["/nowhere", f"{JOBS}/nowhere", "/static/style.css", "/static/nothing.css"]
    for path in [*paths, f"{JOBS}/{job_id}/artifacts/1"]:
        headers = client.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "unsafe" not in policy, path
        assert re.match("default-src '(self|none)'", policy), path
        assert "frame-ancestors 'none'" in policy, path
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers


def form_token_of(page: str) -> str:
    """The token in the first form of a page."""
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', page)
    assert found is not None
    return found[1]
