"""GET /api/v1/jobs/{id}/artifacts, and downloads with ranges and conditions."""

from __future__ import annotations

import hashlib
from urllib.parse import unquote

import pytest
from werkzeug.test import TestResponse

from faces_jobs_web.services import Services
from tests.unit.web import worked
from tests.unit.web.conforming import WebClient
from tests.unit.web.media_files import upload
from tests.unit.web.problems import assert_problem

HOSTILE_NAME = 'a "b"\r\nX-Evil: 1; ü<img>.png'


@pytest.fixture
def address(client: WebClient, services: Services) -> str:
    job_id = client.post("/api/v1/jobs", data={"files": upload()}).json["id"]
    worked.finish(services.database, services.storage, job_id, name=HOSTILE_NAME)
    return f"/api/v1/jobs/{job_id}/artifacts"


def artifact_address(client: WebClient, address: str, kind: str) -> str:
    """The address of the only artifact of a kind."""
    (artifact,) = client.get(f"{address}?kind={kind}").json["artifacts"]
    return f"{address}/{artifact['id']}"


@pytest.fixture
def video(client: WebClient, address: str) -> str:
    return artifact_address(client, address, "annotated_video")


def assert_sandboxed(response: TestResponse) -> None:
    """Check the headers that keep a file from running as a page or script."""
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == (
        "default-src 'none'; frame-ancestors 'none'; sandbox"
    )
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_artifacts_are_listed_in_pages_and_by_kind(client: WebClient, address: str) -> None:
    first = client.get(f"{address}?limit=3").json
    rest = client.get(f"{address}?limit=3&cursor={first['next_cursor']}").json
    kinds = [artifact["kind"] for artifact in first["artifacts"] + rest["artifacts"]]
    assert kinds == ["annotated_video", "annotated_image", "thumbnail", "faces_csv"]
    table = client.get(f"{address}?kind=faces_csv").json["artifacts"]
    assert [artifact["sha256"] for artifact in table] == [hashlib.sha256(worked.CSV).hexdigest()]


def test_a_download_has_its_name_and_is_sandboxed(client: WebClient, video: str) -> None:
    response = client.get(video)
    assert response.status_code == 200
    assert response.data == worked.MP4
    assert response.mimetype == "video/mp4"
    assert response.headers["ETag"] == f'"{hashlib.sha256(worked.MP4).hexdigest()}"'
    assert response.headers["Accept-Ranges"] == "bytes"
    assert_sandboxed(response)
    disposition = response.headers["Content-Disposition"]
    assert disposition.startswith("attachment;")
    assert "X-Evil" not in response.headers
    assert "filename*=UTF-8''" in disposition
    assert "ü<img>.png.mp4" in unquote(disposition)


def test_only_annotated_copies_and_thumbnails_are_shown_inline(
    client: WebClient, address: str
) -> None:
    for kind in ("annotated_video", "annotated_image", "thumbnail"):
        response = client.get(artifact_address(client, address, kind) + "?inline=true")
        assert response.headers["Content-Disposition"].startswith("inline")
        assert_sandboxed(response)
    table = client.get(artifact_address(client, address, "faces_csv") + "?inline=true")
    assert table.headers["Content-Disposition"].startswith("attachment")
    assert table.headers["Content-Type"] == "text/csv; charset=utf-8"


@pytest.mark.parametrize(
    ("requested", "start", "end"),
    [("bytes=0-99", 0, 100), ("bytes=10000-", 10000, None), ("bytes=-50", -50, None)],
)
def test_a_range_is_answered_206(
    client: WebClient, video: str, requested: str, start: int, end: int | None
) -> None:
    response = client.get(video, headers={"Range": requested})
    part = worked.MP4[start:end]
    assert response.status_code == 206
    assert response.data == part
    size = len(worked.MP4)
    first = start % size
    expected = f"bytes {first}-{first + len(part) - 1}/{size}"
    assert response.headers["Content-Range"] == expected
    assert response.headers["Content-Length"] == str(len(part))
    assert_sandboxed(response)


@pytest.mark.parametrize("length", ["size + 1", "00000000000000000000000000009999999", "9" * 3000])
def test_a_suffix_range_longer_than_the_file_is_the_whole_file(
    client: WebClient, video: str, length: str
) -> None:
    size = len(worked.MP4)
    suffix = str(size + 1) if length == "size + 1" else length
    response = client.get(video, headers={"Range": f"bytes=-{suffix}"})
    assert (response.status_code, response.data) == (206, worked.MP4)
    assert response.headers["Content-Range"] == f"bytes 0-{size - 1}/{size}"


def test_a_range_beyond_the_end_is_416(client: WebClient, video: str) -> None:
    response = client.get(video, headers={"Range": "bytes=99999999-"})
    assert_problem(response, 416, "range-not-satisfiable")
    assert response.headers["Content-Range"] == f"bytes */{len(worked.MP4)}"
    assert f"The file has {len(worked.MP4):,} bytes" in response.json["detail"]


@pytest.mark.parametrize("requested", ["bytes=0-1,4-5", "lines=1-2", "bytes=a-b", "bytes=5-2", ""])
def test_unsupported_ranges_get_the_whole_file_or_416(
    client: WebClient, video: str, requested: str
) -> None:
    response = client.get(video, headers={"Range": requested})
    if requested == "bytes=5-2":
        assert response.status_code in {200, 416}
    else:
        assert response.status_code == 200
        assert response.data == worked.MP4


def test_if_range_returns_a_part_only_of_the_same_file(client: WebClient, video: str) -> None:
    tag = client.get(video).headers["ETag"]
    same = client.get(video, headers={"Range": "bytes=0-9", "If-Range": tag})
    assert (same.status_code, len(same.data)) == (206, 10)
    for other in ('"other"', f"W/{tag}"):
        whole = client.get(video, headers={"Range": "bytes=0-9", "If-Range": other})
        assert (whole.status_code, len(whole.data)) == (200, len(worked.MP4)), other


def test_head_and_if_none_match(client: WebClient, video: str) -> None:
    head = client.head(video)
    assert head.status_code == 200
    assert head.headers["Content-Length"] == str(len(worked.MP4))
    assert head.data == b""
    again = client.get(video, headers={"If-None-Match": head.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("range_header", [{}, {"Range": "bytes=0-9"}])
def test_failed_preconditions_are_answered_without_the_file(
    client: WebClient, video: str, range_header: dict[str, str]
) -> None:
    tag = client.head(video).headers["ETag"]
    same = client.get(video, headers={"If-None-Match": tag, **range_header})
    assert (same.status_code, same.data) == (304, b"")
    for name, value in (
        ("If-Match", '"zzz"'),
        ("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ):
        other = client.get(video, headers={name: value, **range_header})
        assert_problem(other, 412, "precondition-failed")
    for value in (f'"zzz", {tag}', "*"):
        matched = client.get(video, headers={"If-Match": value, **range_header})
        assert matched.status_code == (206 if range_header else 200)


def test_an_artifact_of_another_job_is_not_found(
    client: WebClient, address: str, video: str
) -> None:
    other = client.post("/api/v1/jobs", data={"files": upload("b.png", 3)}).json["id"]
    number = video.rsplit("/", 1)[1]
    assert_problem(client.get(f"/api/v1/jobs/{other}/artifacts/{number}"), 404, "not-found")
    assert_problem(client.get(f"{address}/999999"), 404, "not-found")
    assert_problem(client.get(f"{address}/{2**70}"), 404, "not-found")
    assert client.get(f"{address}/..%2f1").status_code == 404


def test_an_artifact_whose_file_is_missing_is_404(
    client: WebClient, services: Services, video: str
) -> None:
    for path in services.storage.folder.rglob("*"):
        if path.is_file():
            path.unlink()
    assert_problem(client.get(video), 404, "not-found")


def test_unknown_parameters_are_named(client: WebClient, address: str, video: str) -> None:
    assert_problem(client.get(f"{video}?x=1"), 422, "invalid-options", fields={"x"})
    assert_problem(client.get(f"{address}?item=a"), 422, "invalid-options", fields={"item"})
