"""GET /api/v1/jobs/{id}/archive: all files of a job as one ZIP, made while it is sent."""

from __future__ import annotations

import io
import logging
import os
import zipfile
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from urllib.parse import unquote

import psutil
import pytest
from flask import Flask
from sqlalchemy import update

from faces_jobs.db.tables import ArtifactRow, JobRow
from faces_jobs.errors import NotFoundError
from faces_jobs.results import archive
from faces_jobs_web.services import Services
from tests.unit.web import worked
from tests.unit.web.conforming import WebClient, client_of
from tests.unit.web.conftest import TOKEN
from tests.unit.web.media_files import png, upload
from tests.unit.web.problems import assert_problem

CHUNK = 4096


def finished(client: WebClient, services: Services, label: str = "", name: str = "é") -> str:
    job_id = client.post("/api/v1/jobs", data={"files": upload(), "label": label}).json["id"]
    worked.finish(services.database, services.storage, job_id, name=name)
    return str(job_id)


@pytest.fixture
def address(client: WebClient, services: Services) -> str:
    return f"/api/v1/jobs/{finished(client, services)}/archive"


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an archive be made in several steps, small as it is."""
    monkeypatch.setattr(archive, "CHUNK_BYTES", CHUNK)
    monkeypatch.setattr(archive, "PAGE_ROWS", 1)


def stored_file(services: Services, content: bytes) -> Path:
    """The path of the only stored file with this content."""
    artifacts = services.storage.folder.glob("jobs/*/artifacts/*/*")
    (path,) = (path for path in artifacts if path.read_bytes() == content)
    return path


def test_an_archive_has_all_files_under_the_names_of_their_downloads(
    client: WebClient, services: Services, address: str
) -> None:
    response = client.get(address)
    assert response.mimetype == "application/zip"
    assert response.headers["Cache-Control"] == "no-store"
    assert "sandbox" in response.headers["Content-Security-Policy"]
    assert response.headers["Content-Length"] == str(len(response.data))
    with zipfile.ZipFile(io.BytesIO(response.data)) as found:
        assert found.testzip() is None
        contents = {entry.filename: found.read(entry) for entry in found.infolist()}
        video = found.getinfo("é.mp4")
        assert {entry.compress_type for entry in found.infolist()} == {zipfile.ZIP_STORED}
    assert contents == {
        "é.mp4": worked.MP4,
        "face.png.png": png(),
        "face.png-1.png": png(),
        "faces.csv": worked.CSV,
    }
    assert video.flag_bits & 0x800, "the name is marked as UTF-8"
    assert video.external_attr >> 16 == 0o100644
    modified = int(stored_file(services, worked.MP4).stat().st_mtime)
    assert int.from_bytes(video.extra[5:9], "little") == modified
    local = datetime.fromtimestamp(modified, tz=UTC).astimezone()
    assert video.date_time[:5] == local.timetuple()[:5]


@pytest.mark.parametrize("seconds", [0, 2**32, 2**33])
def test_an_archive_has_the_nearest_time_that_zip_can_say(
    client: WebClient, services: Services, address: str, seconds: int
) -> None:
    """The years 1970, 2106 and 2242: of machines whose clock is wrong."""
    os.utime(stored_file(services, worked.MP4), (seconds, seconds))
    with zipfile.ZipFile(io.BytesIO(client.get(address).data)) as found:
        video = found.getinfo("é.mp4")
    assert int.from_bytes(video.extra[5:9], "little") == min(seconds, 2**31 - 1)
    assert video.date_time[0] == {0: 1980, 2**32: 2106, 2**33: 2107}[seconds]


def test_an_archive_is_filtered_like_the_list_of_files(client: WebClient, address: str) -> None:
    def names(query: str) -> list[str]:
        with zipfile.ZipFile(io.BytesIO(client.get(f"{address}?{query}").data)) as found:
            return found.namelist()

    assert names("kind=faces_csv") == ["faces.csv"]
    item = client.get(address.replace("archive", "items")).json["items"][0]["id"]
    assert names(f"item={item}") == ["é.mp4", "face.png.png", "face.png-1.png"]
    assert_problem(client.get(f"{address}?kind=none"), 404, "not-found")
    assert_problem(client.get(f"{address}?limit=3"), 422, "invalid-options", fields={"limit"})


def test_a_job_without_files_has_no_archive(client: WebClient) -> None:
    job_id = client.post("/api/v1/jobs", data={"files": upload()}).json["id"]
    problem = client.get(f"/api/v1/jobs/{job_id}/archive")
    assert_problem(problem, 404, "not-found")
    assert "no files to download" in problem.json["detail"]
    other = job_id[:-1] + ("0" if job_id[-1] != "0" else "1")
    assert_problem(client.get(f"/api/v1/jobs/{other}/archive"), 404, "not-found")


def test_a_job_that_is_being_deleted_has_no_archive(client: WebClient, services: Services) -> None:
    """Its files may remain for a while, and other pages of their rows may have been read."""
    job_id = finished(client, services)
    with services.database.begin() as session:
        session.execute(update(JobRow).values(deleted_at=1.0))
    with pytest.raises(NotFoundError, match="There is no job"):
        archive.plan_archive(services.database, job_id)


def test_an_archive_is_named_after_the_label(client: WebClient, services: Services) -> None:
    for label, expected in (
        ("Holiday", "filename=Holiday.zip"),
        ("2026/08 Zoë", "UTF-8''2026-08 Zoë.zip"),
        ("…" * 500, f"UTF-8''{'…' * 66}.zip"),
        ("..", "filename=download.zip"),
        ("2026\\08", "filename=2026-08.zip"),
    ):
        address = f"/api/v1/jobs/{finished(client, services, label)}/archive"
        assert unquote(client.head(address).headers["Content-Disposition"]).endswith(expected)


def test_an_archive_whose_label_has_no_ascii_is_named_after_the_job(
    client: WebClient, services: Services
) -> None:
    """Clients that know only ASCII names, such as curl, would save a hidden `.zip`."""
    for label, expected in (("مرحبا", ""), ("写真 2026", "2026"), ("夏.", ""), ("Zoë ✓", "Zoe")):
        job_id = finished(client, services, label)
        said = client.head(f"/api/v1/jobs/{job_id}/archive").headers["Content-Disposition"]
        assert f" filename={expected or job_id}.zip; filename*=UTF-8''" in said


def test_head_says_length_and_name_and_reads_no_file(
    client: WebClient, services: Services, address: str
) -> None:
    length = client.get(address).headers["Content-Length"]
    stored_file(services, worked.MP4).unlink()
    head = client.head(address)
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == length
    assert address.split("/")[4] in head.headers["Content-Disposition"]


def test_an_archive_needs_the_access_token(guarded: Flask) -> None:
    client = client_of(guarded)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    job_id = client.post("/api/v1/jobs", data={"files": upload()}, headers=headers).json["id"]
    assert_problem(client.get(f"/api/v1/jobs/{job_id}/archive"), 401, "unauthorized")


def test_files_known_to_be_missing_are_named_in_the_archive(
    client: WebClient, services: Services, address: str
) -> None:
    lost = update(ArtifactRow).values(missing_since=1.0)
    with services.database.begin() as session:
        session.execute(lost.where(ArtifactRow.name == "é.mp4"))
    response = client.get(address)
    assert response.headers["Content-Length"] == str(len(response.data))
    with zipfile.ZipFile(io.BytesIO(response.data)) as found:
        assert "é.mp4" not in found.namelist()
        assert found.read(archive.MISSING_FILES_NAME).decode().endswith("\n\né.mp4\n")
    with services.database.begin() as session:
        session.execute(lost)
    assert_problem(client.get(address), 404, "not-found")


def test_an_archive_that_cannot_begin_is_a_problem(
    client: WebClient, services: Services, address: str
) -> None:
    stored_file(services, worked.MP4).unlink()
    assert_problem(client.get(address), 404, "not-found")


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("loss", ["deleted", "shortened", "job deleted"])
def test_an_archive_that_cannot_go_on_is_aborted_logged_and_counted(
    client: WebClient,
    services: Services,
    address: str,
    loss: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    response = client.get(address, buffered=False)
    received = response.iter_encoded()
    assert len(next(received)) >= CHUNK
    if loss == "job deleted":
        client.delete(address.removesuffix("/archive"))
    elif loss == "deleted":
        stored_file(services, worked.CSV).unlink()
    else:
        stored_file(services, worked.CSV).write_bytes(b"")
    with pytest.raises(ConnectionResetError), caplog.at_level(logging.ERROR):
        list(received)
    response.close()
    (record,) = caplog.records
    assert "broke off" in record.getMessage()
    assert "\nfaces_jobs_broken_archives_total 1.0\n" in client.get("/metrics").text


@pytest.mark.usefixtures("small_steps")
def test_a_client_that_goes_away_leaves_no_file_open(
    client: WebClient, services: Services, address: str
) -> None:
    def is_open() -> bool:
        opened = {Path(file.path) for file in psutil.Process().open_files()}
        return stored_file(services, worked.MP4) in opened

    response = client.get(address, buffered=False)
    next(response.iter_encoded())
    assert is_open()
    response.close()
    assert not is_open()
    assert "\nfaces_jobs_broken_archives_total 0.0\n" in client.get("/metrics").text


@pytest.mark.usefixtures("small_steps")
def test_what_a_job_gets_meanwhile_is_no_part_of_the_archive(
    client: WebClient, services: Services
) -> None:
    files = [upload("a.png"), upload("b.png", 3)]
    job_id = client.post("/api/v1/jobs", data={"files": files}).json["id"]
    database, storage = services.database, services.storage
    first, second = worked.claim(database, job_id)
    worked.finish_one(database, storage, first)
    response = client.get(f"/api/v1/jobs/{job_id}/archive", buffered=False)
    received = response.iter_encoded()
    begin = next(received)
    worked.finish_one(database, storage, second)
    whole = begin + b"".join(received)
    response.close()
    assert response.headers["Content-Length"] == str(len(whole))
    assert zipfile.ZipFile(io.BytesIO(whole)).namelist() == [
        "a.png.mp4",
        "a.png.png",
        "a.png-1.png",
    ]


def test_the_length_is_known_with_and_without_zip64(
    client: WebClient, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Archives of gigabytes, or of 65,536 files, have the same structure at the real limits.
    bytes_limits = (0, 40, len(worked.MP4), 2000, 20_000, 2**31 - 1)
    for limit, count_limit in product(bytes_limits, (3, 4)):
        monkeypatch.setattr(zipfile, "ZIP64_LIMIT", limit)
        monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", count_limit)
        response = client.get(address)
        assert response.headers["Content-Length"] == str(len(response.data)), (limit, count_limit)
        with zipfile.ZipFile(io.BytesIO(response.data)) as found:
            assert found.testzip() is None
            assert len(found.namelist()) == 4
