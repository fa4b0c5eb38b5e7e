"""GET /api/v1/roots: the names of the server folders that may be submitted."""

from __future__ import annotations

from pathlib import Path

from tests.unit.web.conforming import WebClient, client_of
from tests.unit.web.conftest import MakeApp


def test_there_are_no_roots_by_default(client: WebClient) -> None:
    assert client.get("/api/v1/roots").json == {"roots": []}


def test_names_are_listed_without_paths(make_app: MakeApp, tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
    client = client_of(make_app(roots={"films": tmp_path / "b", "art": tmp_path / "a"}))
    response = client.get("/api/v1/roots")
    assert response.json == {"roots": ["art", "films"]}
    assert str(tmp_path) not in response.text
