"""GET /api/v1/roots."""

from __future__ import annotations

from pathlib import Path

from flask.testing import FlaskClient

from tests.unit.web.conftest import MakeApp


def test_there_are_none_by_default(client: FlaskClient) -> None:
    assert client.get("/api/v1/roots").json == {"roots": []}


def test_names_are_told_and_paths_are_not(make_app: MakeApp, tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
    client = make_app(roots={"films": tmp_path / "b", "art": tmp_path / "a"}).test_client()
    response = client.get("/api/v1/roots")
    assert response.json == {"roots": ["art", "films"]}
    assert str(tmp_path) not in response.text
