"""The submission form of the front page, sent without JavaScript."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from faces_jobs.db.session import Database
from faces_jobs.results import list_jobs
from faces_jobs_web.services import EXTENSION, Services
from tests.unit.web.conforming import WebClient, client_of
from tests.unit.web.conftest import MakeApp
from tests.unit.web.media_files import XSS, png, upload
from tests.unit.web.test_guard import form_token_of


@pytest.fixture
def token(client: WebClient) -> str:
    return form_token_of(client.get("/").text)


def test_the_form_is_submitted_without_javascript(
    client: WebClient, database: Database, token: str
) -> None:
    response = client.post(
        "/",
        data={
            "form_token": token,
            "files": [upload("a.png"), upload("b.png", 3), (io.BytesIO(b""), "")],
            "gender": "on",
            "label": "By hand",
            "max_fps": "",
            "server_root": "",
        },
    )
    assert response.status_code == 303
    (job,) = list_jobs(database).jobs
    assert response.headers["Location"] == f"/jobs/{job.id}"
    assert job.label == "By hand"
    assert job.item_count == 2
    # Unticked boxes send nothing, which from this form means off.
    assert job.options.models == ("gender",)
    assert job.options.annotated is False


def test_errors_are_shown_in_the_form_which_keeps_its_values(
    client: WebClient, database: Database, token: str
) -> None:
    data = {"form_token": token, "files": upload(), "smallest_face": "2", "label": XSS}
    response = client.post("/", data=data)
    assert response.status_code == 422
    assert "see the messages next to them" in response.text
    assert '<span class="field-error">Input should be greater than or equal to 4</span>' in (
        response.text
    )
    assert 'aria-invalid="true"' in response.text
    assert XSS not in response.text
    assert "&lt;img src=x onerror=alert(1)&gt;" in response.text
    assert list_jobs(database).jobs == []
    nothing = client.post("/", data={"form_token": token}, content_type="multipart/form-data")
    assert nothing.status_code == 422
    assert "choose at least one" in nothing.text


def test_a_form_without_its_token_stores_nothing(client: WebClient, services: Services) -> None:
    client.get("/")
    response = client.post("/", data={"files": upload(), "gender": "on"})
    assert response.status_code == 403
    assert list_jobs(services.database).jobs == []
    assert not any(path.is_file() for path in services.storage.folder.rglob("*"))


def test_a_server_folder_is_submitted_from_the_form(make_app: MakeApp, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "a.png").write_bytes(upload()[0].read())
    client = client_of(make_app(roots={"films": folder}))
    page = client.get("/").text
    assert "<option>films</option>" in page
    assert str(folder) not in page
    data = {
        "form_token": form_token_of(page),
        "server_root": "films",
        "server_path": "",
        "gender": "on",
    }
    response = client.post("/", data=data, content_type="multipart/form-data")
    assert response.status_code == 303
    assert client.get(response.headers["Location"]).status_code == 200


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"server_root": "films", "files": True}, "not both"),
        ({"server_path": "2026/holiday"}, "Choose the root that contains 2026/holiday"),
        ({"server_path": "2026/holiday", "files": True}, "Choose the root"),
    ],
)
def test_contradictory_or_incomplete_sources_are_rejected(
    make_app: MakeApp, tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    (tmp_path / "a.png").write_bytes(png())
    app = make_app(roots={"films": tmp_path})
    client = client_of(app)
    data = {"form_token": form_token_of(client.get("/").text), **given}
    if "files" in data:
        data["files"] = upload()
    response = client.post("/", data=data, content_type="multipart/form-data")
    assert response.status_code == 422
    assert message in response.text
    assert list_jobs(app.extensions[EXTENSION].database).jobs == []


def test_thresholds_are_submitted_with_the_form(
    client: WebClient, database: Database, token: str
) -> None:
    data = {"form_token": token, "gender": "on", "unsure_below": "gender=0.7"}
    sent = client.post("/", data={**data, "files": [upload("a.png")]})
    assert sent.status_code == 303
    assert list_jobs(database).jobs[0].options.unsure_below == "gender=0.7"
    refused = client.post("/", data={**data, "files": [upload("a.png")], "unsure_below": "often"})
    assert refused.status_code == 422
    assert "is not a probability" in refused.text
    assert 'value="often"' in refused.text
