"""Every error is a problem document or an error page, and leaks no internals."""

from __future__ import annotations

import logging

import pytest
from flask import Flask

from faces_jobs import errors
from faces_jobs.errors import FacesJobsError
from faces_jobs_web.api.openapi import described_rules
from faces_jobs_web.errors import STATUSES, problem_codes, problem_of
from faces_jobs_web.operations import Operation, describes
from tests.unit.web.conforming import WebClient, client_of
from tests.unit.web.problems import assert_no_leak, assert_problem

UNKNOWN_JOB = "00000000-0000-4000-8000-000000000000"
# Errors that the web never raises, since they belong to start-up, workers or clients.
NOT_RAISED_BY_WEB = {
    "AddressError",
    "SettingsError",
    "ModelError",
    "DataLayoutError",
    "DownloadError",
    "WebhookError",
    "PausedError",
    "DeviceError",
    "LeaseLostError",
    "CancelledError",
    "PoisonError",
    "ServerError",
}


def error_classes() -> list[type[FacesJobsError]]:
    """All subclasses of FacesJobsError."""
    return [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, FacesJobsError)
        and kind is not FacesJobsError
    ]


@pytest.mark.parametrize("kind", error_classes())
def test_every_error_class_has_a_status(kind: type[FacesJobsError]) -> None:
    known = any(issubclass(kind, one) for one, _, _ in STATUSES)
    assert known == (kind.__name__ not in NOT_RAISED_BY_WEB)
    if known:
        status, _ = problem_codes()[kind.code]
        assert 400 <= status < 600


def test_an_unknown_path_is_a_problem_or_a_page(client: WebClient) -> None:
    assert_problem(client.get("/api/v1/nothing"), 404, "not-found")
    page = client.get("/nothing")
    assert page.status_code == 404
    assert page.mimetype == "text/html"
    assert "nothing at this address" in page.text


def test_a_path_of_the_api_with_two_slashes_is_a_problem(client: WebClient) -> None:
    for path in ("/api/v1/jobs//events", "/api//v1/jobs?x=1"):
        assert_problem(client.get(path), 404, "not-found")
    page = client.get("/jobs//x")
    assert page.status_code == 308
    assert page.headers["Location"].endswith("/jobs/x")


def test_a_page_with_a_slash_at_its_end_is_found(client: WebClient, done: str) -> None:
    for path, query, found in (
        ("/jobs/", "", "/jobs"),
        ("/jobs/", "label=a%20b", "/jobs?label=a%20b"),
        (f"/jobs/{done}/items/1//", "", f"/jobs/{done}/items/1"),
        ("//login/", "", "/login"),
        ("/api/docs/", "", "/api/docs"),
        ("/jobs/a\nb?c/", "", "/jobs/a%0Ab%3Fc"),
    ):
        page = client.get(query_string=query, environ_overrides={"PATH_INFO": path})
        assert page.headers["Location"] == found, path
    for path in ("/nothing/", "//evil.example/", "/healthz/", f"/jobs/{done}/cancel/"):
        page = client.get(environ_overrides={"PATH_INFO": path})
        assert page.status_code == 404, path
    assert_problem(client.get("/api/v1/jobs/"), 404, "not-found")


def test_every_operation_rejects_unknown_parameters(app: Flask, client: WebClient) -> None:
    """Else an option in a submission's query string would be ignored silently."""
    for rule, method, _ in described_rules(app):
        if not rule.rule.startswith("/api/v1/"):
            continue
        path = rule.rule.replace("<job_id>", UNKNOWN_JOB).replace("<row:artifact_id>", "1")
        response = client.open(f"{path}?priority=high", method=method)
        assert_problem(response, 422, "invalid-options", fields={"priority"})
    assert client.get("/healthz?again=1").status_code == 200


def test_the_error_for_a_wrong_method_lists_those_allowed(client: WebClient) -> None:
    response = client.put("/api/v1/jobs")
    assert_problem(response, 405, "method-not-allowed")
    assert {"GET", "POST"} <= set(response.headers["Allow"].replace(",", " ").split())


def add_failing_views(app: Flask, error: Exception) -> None:
    """Add an operation of the API and a page that raise this error."""

    def fail() -> str:
        """Fail."""
        raise error

    def page() -> str:
        """Fail."""
        raise error

    described = describes(Operation(tag="server", responses={}, problems=(503,)))
    app.add_url_rule("/api/v1/failing", view_func=described(fail), endpoint="api_failing")
    described = describes(Operation(tag="pages", responses={}))
    app.add_url_rule("/failing", view_func=described(page), endpoint="failing")


def test_an_unexpected_error_is_logged_and_only_its_id_is_shown(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    add_failing_views(app, RuntimeError("secret at /srv/secret/path.py"))
    client = client_of(app)
    response = client.get("/api/v1/failing")
    assert response.status_code == 500
    assert_no_leak(response)
    error_id = response.json["id"]
    (record,) = [record for record in caplog.records if error_id in record.getMessage()]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert "secret" in str(record.exc_info[1])
    page = client.get("/failing")
    assert page.status_code == 500
    assert "secret" not in page.text
    assert_no_leak(page)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.DatabaseError("can't open /srv/data/faces.db"), "database"),
        (errors.QueueError("redis://:password@10.0.0.3 refused"), "queue"),
    ],
)
def test_an_unavailable_service_is_503_without_its_address(
    app: Flask, error: FacesJobsError, code: str
) -> None:
    add_failing_views(app, error)
    response = client_of(app).get("/api/v1/failing")
    assert_problem(response, 503, code)
    assert int(response.headers["Retry-After"]) > 0
    assert "10.0.0.3" not in response.text


def test_every_problem_has_the_title_of_its_code(client: WebClient) -> None:
    codes = problem_codes()
    for address in ("/api/v1/nothing", "/api/v1/jobs/nothing"):
        problem = client.get(address).json
        assert (problem["status"], problem["title"]) == codes["not-found"]
    rejected = client.post("/api/v1/jobs", data="x", content_type="text/plain").json
    assert (rejected["status"], rejected["title"]) == codes["content-type"]
    assert codes["text"] != codes["archive"] != codes["unknown-media"]


def test_invalid_options_are_listed_as_fields() -> None:
    problem = problem_of(errors.OptionsError({"label": "too long"}))
    assert (problem.status, problem.fields) == (422, {"label": "too long"})


def test_the_type_of_a_problem_is_the_address_of_a_page_about_it(client: WebClient) -> None:
    response = client.get("/api/v1/jobs?x=1")
    page = client.get(response.json["type"])
    assert page.status_code == 200
    for code in problem_codes():
        assert f"/problems/{code}" in page.text
