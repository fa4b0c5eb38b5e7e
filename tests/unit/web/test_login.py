"""The access token: as a bearer token for the API, and by /login and /logout for pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from pydantic import SecretStr

from faces_jobs_web.access import Access, open_access
from faces_jobs_web.api.openapi import described_rules
from faces_jobs_web.pages.login import safe_target
from tests.unit.web.conforming import WebClient, client_of
from tests.unit.web.conftest import TOKEN, MakeApp
from tests.unit.web.media_files import upload
from tests.unit.web.problems import assert_problem
from tests.unit.web.test_guard import form_token_of

JOBS = "/api/v1/jobs"
UNKNOWN_JOB = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def browser(guarded: Flask) -> WebClient:
    """A browser that is not signed in."""
    return client_of(guarded)


def sign_in(browser: WebClient, token: str = TOKEN, target: str = "") -> int:
    page = browser.get("/login", query_string={"next": target} if target else {})
    data = {"form_token": form_token_of(page.text), "token": token, "next": target}
    return browser.post("/login", data=data).status_code


def test_only_public_routes_are_answered_without_a_token(guarded: Flask) -> None:
    public = set()
    for rule, method, operation in described_rules(guarded):
        path = rule.rule.replace("<job_id>", UNKNOWN_JOB).replace("<int:artifact_id>", "1")
        path = path.replace("<code>", "x")
        response = client_of(guarded).open(path, method=method)
        if operation.public:
            public.add(f"{method} {rule.rule}")
            assert response.status_code != 401
        elif path.startswith("/api/v1/") or path == "/metrics" or method != "GET":
            assert response.status_code == 401, path
        else:
            assert response.status_code == 303, path
            assert response.headers["Location"].startswith("/login"), path
    assert public == {
        "GET /healthz",
        "GET /readyz",
        "GET /login",
        "POST /login",
        "GET /problems/<code>",
    }


def test_pages_redirect_to_the_login_or_ask_to_sign_in_again(guarded: Flask) -> None:
    browser = client_of(guarded)
    docs = browser.get("/api/docs")
    assert (docs.status_code, docs.headers["Location"]) == (303, "/login?next=/api/docs")
    sent = browser.post("/", data={"label": "any"}, content_type="multipart/form-data")
    assert (sent.status_code, sent.mimetype) == (401, "text/html")
    assert "sign in and try again" in sent.text
    assert "Bearer" not in sent.text


def test_every_route_is_answered_with_the_token(guarded: Flask) -> None:
    for rule, method, _ in described_rules(guarded):
        path = rule.rule.replace("<job_id>", UNKNOWN_JOB).replace("<int:artifact_id>", "1")
        headers = {"Authorization": f"Bearer {TOKEN}"}
        response = client_of(guarded).open(path, method=method, headers=headers)
        assert response.status_code != 401, path


@pytest.mark.parametrize(
    "authorization",
    ["Bearer wrong", "Bearer ", "bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ü"],
)
def test_a_wrong_bearer_token_is_refused(browser: WebClient, authorization: str) -> None:
    response = browser.get(JOBS, headers={"Authorization": authorization})
    assert_problem(response, 401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert TOKEN not in response.text


@pytest.mark.parametrize("token", ["key=value,0123456789", 'a "quoted" token, of words'])
def test_a_token_may_consist_of_any_printable_characters(make_app: MakeApp, token: str) -> None:
    client = client_of(make_app(access_token=SecretStr(token)))
    response = client.get(JOBS, headers={"Authorization": f"bearer  {token} "})
    assert response.status_code == 200


def test_a_token_in_the_query_string_is_ignored(browser: WebClient) -> None:
    for name in ("token", "access_token", "api_key"):
        assert browser.get(f"{JOBS}?{name}={TOKEN}").status_code == 401


def test_a_bearer_token_needs_no_form_token_and_no_same_origin(browser: WebClient) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Origin": "https://tool.example"}
    response = browser.post(JOBS, data={"files": upload()}, headers=headers)
    assert response.status_code == 201


def test_a_user_signs_in_and_out(browser: WebClient) -> None:
    first = browser.get("/jobs?status=failed")
    assert first.headers["Location"] == "/login?next=/jobs?status%3Dfailed"
    assert sign_in(browser) == 303
    page = browser.get("/jobs")
    assert page.status_code == 200
    assert browser.get(JOBS).status_code == 200
    assert browser.get("/login").headers["Location"] == "/"
    token = form_token_of(page.text)
    assert browser.post("/logout", data={"form_token": token}).status_code == 303
    assert browser.get(JOBS).status_code == 401


def test_a_link_from_another_site_keeps_the_user_signed_in(browser: WebClient) -> None:
    # The browser withholds strict cookies from such a request; the page reloads itself with them.
    headers = {"Sec-Fetch-Site": "cross-site"}
    landing = browser.get("/jobs?status=failed", headers=headers, follow_redirects=True)
    assert 'http-equiv="refresh" content="0; url=/jobs?status=failed"' in landing.text
    assert 'name="token"' not in landing.text
    login = browser.get("/jobs", headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=True)
    assert 'name="token"' in login.text


def test_the_login_cookie_is_hidden_from_scripts_and_other_sites(browser: WebClient) -> None:
    page = browser.get("/login")
    data = {"form_token": form_token_of(page.text), "token": TOKEN, "next": "/jobs"}
    response = browser.post("/login", data=data, headers={"X-Forwarded-Proto": "https"})
    assert response.headers["Location"] == "/jobs"
    cookie = next(
        text for text in response.headers.getlist("Set-Cookie") if "faces_jobs_login" in text
    )
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Secure" in cookie
    assert TOKEN not in cookie


def test_a_wrong_token_does_not_sign_in(browser: WebClient) -> None:
    assert sign_in(browser, "not-the-access-token") == 403
    assert browser.get(JOBS).status_code == 401


def test_signing_in_requires_the_form_token(browser: WebClient) -> None:
    assert browser.post("/login", data={"token": TOKEN}).status_code == 403
    assert browser.get(JOBS).status_code == 401


def test_a_cookie_does_not_open_the_api_to_other_sites(browser: WebClient) -> None:
    sign_in(browser)
    headers = {"Sec-Fetch-Site": "cross-site"}
    response = browser.post(JOBS, data={"files": upload()}, headers=headers)
    assert_problem(response, 403, "forbidden")


def test_a_forged_or_foreign_cookie_is_ignored(
    browser: WebClient, make_app: MakeApp, tmp_path: Path
) -> None:
    other = client_of(make_app(access_token=SecretStr(TOKEN), data_folder=tmp_path / "other"))
    sign_in(other)
    cookie = other.get_cookie("faces_jobs_login")
    assert cookie is not None
    for value in (cookie.value, cookie.value[:-1], "x", ""):
        browser.set_cookie("faces_jobs_login", value)
        assert browser.get(JOBS).status_code == 401


def test_a_login_ends_after_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    access = open_access(SecretStr(TOKEN), tmp_path)
    cookie = access.login()
    assert access.is_login(cookie)
    monkeypatch.setattr("faces_jobs_web.access.LOGIN_SECONDS", -1)
    assert not access.is_login(cookie)


def test_changing_the_token_ends_all_logins(tmp_path: Path) -> None:
    before = open_access(SecretStr("the-first-access-token"), tmp_path)
    after = open_access(SecretStr("the-second-access-token"), tmp_path)
    cookie = before.login()
    assert before.is_login(cookie)
    assert not after.is_login(cookie)


def test_the_key_survives_a_restart_and_is_private(tmp_path: Path) -> None:
    first = open_access(None, tmp_path / "new")
    second = open_access(None, tmp_path / "new")
    (path,) = (tmp_path / "new").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert second.is_form_token(first.form_token("seed"), "seed")
    other = Access(token=None, key=b"x" * 32)
    assert not other.is_form_token(first.form_token("seed"), "seed")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/jobs/1?x=2", "/jobs/1?x=2"),
        (None, "/"),
        ("", "/"),
        ("https://evil.example", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_signing_in_redirects_only_to_own_pages(target: str | None, expected: str) -> None:
    assert safe_target(target) == expected
