"""The archive of a job one of whose files has disappeared, from a real server."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from faces_jobs.db.session import open_database
from faces_jobs.db.tables import ArtifactRow
from faces_jobs.settings import Settings
from faces_jobs.storage import open_storage
from tests.acceptance.web import RunningWeb, running_web
from tests.services import TIMEOUT_SECONDS
from tests.unit.web import worked
from tests.unit.web.media_files import png

LARGE = 1024 * 1024  # more than is read before the status is sent


def finished_job(web: RunningWeb) -> str:
    """Submit a job and finish it; its annotated video has LARGE bytes."""
    submitted = httpx.post(
        f"{web.url}/api/v1/jobs", files={"files": ("a.png", png())}, timeout=TIMEOUT_SECONDS
    )
    job_id = str(submitted.json()["id"])
    settings = Settings(data_folder=web.data, min_free_bytes=0)
    with open_database(settings.database) as database:
        worked.finish(database, open_storage(settings), job_id)
        with database.begin() as session:
            video = update(ArtifactRow).where(ArtifactRow.kind == "annotated_video")
            session.execute(video.values(bytes=LARGE))
    with stored_file(web, worked.MP4).open("r+b") as file:
        file.truncate(LARGE)
    return job_id


def stored_file(web: RunningWeb, content: bytes) -> Path:
    artifacts = web.data.glob("files/jobs/*/artifacts/*/*")
    (path,) = (path for path in artifacts if path.read_bytes() == content)
    return path


def test_a_client_notices_an_archive_that_breaks_off(tmp_path: Path, sqlite_template: Path) -> None:
    with running_web(tmp_path, sqlite_template, min_free_bytes="0") as web:
        address = f"{web.url}/api/v1/jobs/{finished_job(web)}/archive"
        assert len(httpx.get(address, timeout=TIMEOUT_SECONDS).content) > LARGE
        stored_file(web, worked.CSV).unlink()
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
            httpx.get(address, timeout=TIMEOUT_SECONDS)
        # A proxy may talk HTTP/1.0, in which only the length says where a body ends.
        with socket.create_connection(("127.0.0.1", web.port), TIMEOUT_SECONDS) as old:
            path = address.removeprefix(web.url)
            old.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
            head, _, body = old.makefile("rb").read().partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].split()[0]
        assert LARGE < len(body) < int(length)
        log = web.log.read_text()
        assert log.count("broke off") == 2
        assert "Traceback" not in log
        assert (
            "faces_jobs_broken_archives_total 2.0"
            in httpx.get(f"{web.url}/metrics", timeout=TIMEOUT_SECONDS).text
        )
