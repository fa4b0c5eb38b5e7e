"""POST /api/v1/jobs with JSON: a server folder below one of the configured roots."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faces_jobs.results import list_items
from tests.unit.web.conforming import WebClient, client_of
from tests.unit.web.conftest import MakeApp
from tests.unit.web.media_files import png
from tests.unit.web.problems import assert_problem
from tests.unit.web.test_jobs_create import JOBS, nothing_is_stored


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    (folder / "2026").mkdir(parents=True)
    (folder / "2026" / "a.png").write_bytes(png())
    (folder / "2026" / "b.png").write_bytes(png(shade=3))
    (folder / "2026" / "notes.txt").write_text("no picture")
    (folder / "link").symlink_to("/etc")
    return folder


def test_a_server_folder_becomes_a_job(make_app: MakeApp, films: Path) -> None:
    app = make_app(roots={"films": films})
    body = {"root": "films", "path": "2026", "options": {"models": [], "label": "all"}}
    response = client_of(app).post(JOBS, json=body)
    assert response.status_code == 201
    assert response.json["label"] == "all"
    assert response.json["items_by_status"] == {"queued": 2, "failed": 1}
    items = list_items(app.extensions["faces_jobs"].database, response.json["id"]).items
    assert [item.name for item in items] == ["a.png", "b.png", "notes.txt"]


@pytest.mark.parametrize("path", ["2026", "2026/", "./2026/.", "2026//"])
def test_item_names_are_relative_to_the_folder_however_its_path_is_written(
    make_app: MakeApp, films: Path, path: str
) -> None:
    client = client_of(make_app(roots={"films": films}))
    job_id = client.post(JOBS, json={"root": "films", "path": path}).json["id"]
    items = client.get(f"{JOBS}/{job_id}/items").json["items"]
    assert [item["name"] for item in items] == ["a.png", "b.png", "notes.txt"]


def test_a_folder_can_be_submitted_once_by_key(make_app: MakeApp, films: Path) -> None:
    client = client_of(make_app(roots={"films": films}))
    headers = {"Idempotency-Key": "folder"}
    body = {"root": "films", "path": "2026"}
    assert client.post(JOBS, json=body, headers=headers).status_code == 201
    assert client.post(JOBS, json=body, headers=headers).status_code == 200
    other = client.post(JOBS, json={**body, "options": {"gender": False}}, headers=headers)
    assert_problem(other, 409, "idempotency-conflict")


@pytest.mark.parametrize(
    ("root", "path", "expected"),
    [
        ("music", "", (422, "folder")),
        ("films", "..", (422, "folder")),
        ("films", "../films2", (422, "folder")),
        ("films", "/etc", (422, "folder")),
        ("films", "link", (422, "folder")),
        ("films", "link/ssl", (422, "folder")),
        ("films", "nowhere", (422, "folder")),
        ("films", "a\0b", (422, "folder")),
        ("", "", (422, "folder")),
    ],
)
def test_a_folder_outside_its_root_is_refused(
    make_app: MakeApp, films: Path, root: str, path: str, expected: tuple[int, str]
) -> None:
    app = make_app(roots={"films": films})
    response = client_of(app).post(JOBS, json={"root": root, "path": path})
    assert_problem(response, *expected)
    assert str(films) not in response.text
    assert nothing_is_stored(app.extensions["faces_jobs"])


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ([], {"body"}),
        ({}, {"root"}),
        ({"root": 3}, {"root"}),
        ({"root": "films", "path": None}, {"path"}),
        ({"root": "films", "options": []}, {"options"}),
        ({"root": "films", "folder": "x"}, {"folder"}),
        ({"root": "films", "options": {"gender": "on"}}, {"gender"}),
        ({"root": "films", "options": {"colour": 1}}, {"colour"}),
    ],
)
def test_a_json_body_is_validated_strictly(
    make_app: MakeApp, films: Path, body: object, wrong: set[str]
) -> None:
    client = client_of(make_app(roots={"films": films}))
    assert_problem(client.post(JOBS, json=body), 422, "invalid-options", fields=wrong)


@pytest.mark.parametrize(
    "body",
    [
        '{"root": "films", "path": "\\ud800"}',
        '{"root": "\\udfff"}',
        '{"\\ud800": 1}',
        '{"root": "films", "options": {"\\ud800": 1}}',
        "[" * 100_000,
    ],
)
def test_json_with_lone_surrogates_or_deep_nesting_is_rejected(
    make_app: MakeApp, films: Path, body: str
) -> None:
    client = client_of(make_app(roots={"films": films}))
    response = client.post(JOBS, data=body, content_type="application/json")
    assert_problem(response, 400, "bad-request")


def test_malformed_or_huge_json_is_rejected(client: WebClient) -> None:
    response = client.post(JOBS, data="{", content_type="application/json")
    assert_problem(response, 400, "bad-request")
    huge = json.dumps({"root": "x" * 2_000_000})
    response = client.post(JOBS, data=huge, content_type="application/json")
    assert_problem(response, 413, "upload-too-large")
