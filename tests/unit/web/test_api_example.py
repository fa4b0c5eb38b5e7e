"""The client in docs/api.md, run as it stands there, with the app instead of a server."""

from __future__ import annotations

import re
import sys
from functools import partial
from pathlib import Path

import httpx
import pytest
from flask import Flask

from faces_jobs_web.services import EXTENSION, Services
from tests.unit.web import worked
from tests.unit.web.conftest import TOKEN
from tests.unit.web.media_files import png

API = Path(__file__).parents[3] / "docs/api.md"


class Server(httpx.BaseTransport):
    """The app; when a job is asked about for the first time, a worker has just finished it."""

    def __init__(self, app: Flask, services: Services) -> None:
        self._app = httpx.WSGITransport(app)
        self._services = services
        self._is_finished = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        found = re.fullmatch(r"/api/v1/jobs/([^/]+)", request.url.path)
        if found and not self._is_finished:
            self._is_finished = True
            worked.finish(self._services.database, self._services.storage, found[1])
        return self._app.handle_request(request)


def test_the_client_of_the_docs_follows_a_job_to_its_files(
    guarded: Flask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", API.read_text(encoding="utf-8"), re.DOTALL)
    (program,) = (code for code in blocks if "import httpx" in code)
    photo = tmp_path / "clip.png"
    photo.write_bytes(png())
    server = Server(guarded, guarded.extensions[EXTENSION])
    monkeypatch.setattr(httpx, "Client", partial(httpx.Client, transport=server))
    monkeypatch.setattr(sys, "argv", ["client.py", str(photo)])
    monkeypatch.setenv("FACES_JOBS_ACCESS_TOKEN", TOKEN)
    monkeypatch.chdir(tmp_path)
    exec(compile(program, API, "exec"), {})
    output = capsys.readouterr().out
    assert "succeeded 1.0" in output
    assert len(re.findall(r"^clip\.png ", output, re.MULTILINE)) == 12
    assert [path.read_bytes() for path in tmp_path.glob("*.mp4")] == [worked.MP4]
