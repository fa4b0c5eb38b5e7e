"""POST /api/v1/jobs with files: options, limits, idempotency keys and hostile uploads."""

from __future__ import annotations

import io
import re
import threading
from pathlib import Path

import pytest
from flask import Flask

from faces_jobs.db.session import Database
from faces_jobs.results import get_job, list_items, list_jobs
from faces_jobs_web.services import Services
from tests.unit.web.conforming import WebClient, client_of
from tests.unit.web.conftest import MakeApp
from tests.unit.web.media_files import png, upload
from tests.unit.web.problems import assert_problem

JOBS = "/api/v1/jobs"


def stored_files(services: Services) -> list[Path]:
    return [path for path in services.storage.folder.rglob("*") if path.is_file()]


def nothing_is_stored(services: Services) -> bool:
    return not list_jobs(services.database).jobs and not stored_files(services)


def test_one_file_becomes_a_job(client: WebClient, services: Services) -> None:
    response = client.post(JOBS, data={"files": upload()})
    assert response.status_code == 201
    job = response.json
    assert response.headers["Location"] == f"/api/v1/jobs/{job['id']}"
    assert job["status"] == "queued"
    assert job["item_count"] == 1
    assert get_job(services.database, job["id"]).item_count == 1
    assert [path.read_bytes() for path in stored_files(services)] == [png()]
    assert services.queue.depth() == 1


def test_many_files_keep_their_relative_names_and_order(
    client: WebClient, database: Database
) -> None:
    names = ["a.png", "trip/a.png", "trip/ünder lake.png", "b.png"]
    files = [upload(name, shade) for shade, name in enumerate(names)]
    response = client.post(JOBS, data={"files": files})
    assert response.status_code == 201
    items = list_items(database, response.json["id"]).items
    assert [item.name for item in items] == names


def test_options_are_taken_from_the_form(client: WebClient) -> None:
    response = client.post(
        JOBS,
        data={
            "files": upload(),
            "models": "1,0,1",
            "detection_threshold": "0.7",
            "smallest_face": "24",
            "frame_stride": "",
            "annotated": "off",
            "label": "Holiday",
        },
    )
    assert response.status_code == 201
    options = response.json["options"]
    assert (options["gender"], options["expression"], options["multiple"]) == (True, False, True)
    assert options["detection_threshold"] == 0.7
    assert options["smallest_face"] == 24
    assert options["frame_stride"] == 1
    assert options["annotated"] is False
    assert response.json["label"] == "Holiday"


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"detection_treshold": "0.5"}, {"detection_treshold"}),
        ({"detection_threshold": "2"}, {"detection_threshold"}),
        ({"smallest_face": "many"}, {"smallest_face"}),
        ({"models": "1,2,3"}, {"models"}),
        ({"label": "x" * 1025}, {"label"}),
        ({"label": "a\0b"}, {"label"}),
        ({"frame_stride": ["1", "2"]}, {"frame_stride"}),
        ({"annotated": "perhaps", "max_fps": "-1"}, {"annotated", "max_fps"}),
    ],
)
def test_invalid_options_are_named_and_nothing_is_stored(
    client: WebClient, services: Services, fields: dict[str, object], wrong: set[str]
) -> None:
    response = client.post(JOBS, data={"files": upload(), **fields})
    assert_problem(response, 422, "invalid-options", fields=wrong)
    assert nothing_is_stored(services)


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "empty-file"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", 415, "text"),
        (b"PK\x03\x04" + b"\0" * 100, 415, "archive"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", 415, None),
        (b"plain text that only says it is a video", 415, None),
    ],
)
def test_a_file_without_media_content_is_rejected(
    client: WebClient, services: Services, content: bytes, status: int, code: str | None
) -> None:
    response = client.post(JOBS, data={"files": (io.BytesIO(content), "film.mp4", "video/mp4")})
    assert_problem(response, status, code or response.json["code"])
    assert nothing_is_stored(services)


def test_an_invalid_file_among_valid_ones_is_a_failed_item(
    client: WebClient, database: Database
) -> None:
    files = [upload("good.png"), (io.BytesIO(b""), "empty.png")]
    response = client.post(JOBS, data={"files": files})
    assert response.status_code == 201
    good, empty = list_items(database, response.json["id"]).items
    assert good.status == "queued"
    assert empty.status == "failed"
    assert empty.error is not None
    assert empty.error.code == "empty-file"


@pytest.mark.parametrize("data", [{}, {"label": "no file"}, {"files": (io.BytesIO(b""), "")}])
def test_a_submission_without_files_is_rejected(
    client: WebClient, services: Services, data: dict[str, object]
) -> None:
    response = client.post(JOBS, data=data, content_type="multipart/form-data")
    assert_problem(response, 422, "submission")
    assert nothing_is_stored(services)


@pytest.mark.parametrize(
    ("disposition", "status", "reason"),
    [
        (b'name="files"', 422, "sent as text: send files, with their names"),
        (
            b'name="files"; filename="na\xefve.png"',
            400,
            "A file name in the form is not valid UTF-8",
        ),
        (b'filename="a.png"', 400, "A part of the form has no name"),
        (b"x=y", 400, "A part of the form has no name"),
    ],
)
def test_a_part_without_usable_names_is_rejected_with_the_reason(
    client: WebClient, services: Services, disposition: bytes, status: int, reason: str
) -> None:
    head = b"--x\r\nContent-Disposition: form-data; " + disposition + b"\r\n\r\n"
    response = client.post(
        JOBS,
        data=head + png() + b"\r\n--x--\r\n",
        content_type="multipart/form-data; boundary=x",
    )
    assert response.status_code == status
    assert reason in response.json["detail"]
    assert nothing_is_stored(services)


@pytest.mark.parametrize("boundary", ["", "; boundary=", '; boundary="\u00fc"'])
def test_a_form_without_a_usable_boundary_is_rejected(client: WebClient, boundary: str) -> None:
    response = client.post(JOBS, data=b"x", content_type=f"multipart/form-data{boundary}")
    assert_problem(response, 400, "bad-request")
    assert "boundary" in response.json["detail"]


def test_files_in_an_unknown_field_are_rejected(client: WebClient, services: Services) -> None:
    response = client.post(JOBS, data={"file": upload()})
    assert_problem(response, 422, "invalid-options", fields={"file"})
    assert nothing_is_stored(services)


def test_a_repeated_key_returns_the_first_job(client: WebClient, database: Database) -> None:
    headers = {"Idempotency-Key": "one-and-only"}
    first = client.post(JOBS, data={"files": upload(), "label": "x"}, headers=headers)
    again = client.post(JOBS, data={"files": upload(), "label": "x"}, headers=headers)
    assert first.status_code == 201
    assert "Idempotent-Replay" not in first.headers
    assert again.status_code == 200
    assert again.headers["Idempotent-Replay"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    assert again.json["id"] == first.json["id"]
    assert len(list_jobs(database).jobs) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"files": upload(shade=9), "label": "x"},
        {"files": upload("other.png"), "label": "x"},
        {"files": upload(), "label": "y"},
    ],
)
def test_the_same_key_with_other_content_is_a_conflict(
    client: WebClient, services: Services, other: dict[str, object]
) -> None:
    headers = {"Idempotency-Key": "key"}
    client.post(JOBS, data={"files": upload(), "label": "x"}, headers=headers)
    response = client.post(JOBS, data=other, headers=headers)
    assert_problem(response, 409, "idempotency-conflict")
    assert len(list_jobs(services.database).jobs) == 1
    assert len(stored_files(services)) == 1


@pytest.mark.parametrize("key", ["", "k" * 256, "tab\there"])
def test_an_invalid_idempotency_key_is_rejected(
    client: WebClient, services: Services, key: str
) -> None:
    response = client.post(JOBS, data={"files": upload()}, headers={"Idempotency-Key": key})
    assert_problem(response, 422, "invalid-options", fields={"Idempotency-Key"})
    assert nothing_is_stored(services)


def test_concurrent_requests_with_the_same_key_create_one_job(
    app: Flask, database: Database
) -> None:
    responses = []

    def send() -> None:
        headers = {"Idempotency-Key": "race"}
        response = client_of(app).post(JOBS, data={"files": upload()}, headers=headers)
        responses.append((response.status_code, response.json["id"]))

    senders = [threading.Thread(target=send) for _ in range(6)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert sorted(status for status, _ in responses) == [200] * 5 + [201]
    assert len({job_id for _, job_id in responses}) == 1
    assert len(list_jobs(database).jobs) == 1


def test_an_upload_over_the_limit_is_rejected_while_it_streams(make_app: MakeApp) -> None:
    app = make_app(max_upload_bytes=1000)
    with client_of(app) as client:
        response = client.post(JOBS, data={"files": (io.BytesIO(png() + b"\0" * 2000), "a.png")})
    assert_problem(response, 413, "upload-too-large")
    assert nothing_is_stored(app.extensions["faces_jobs"])


class Unreadable(io.BytesIO):
    """A body that must not be read."""

    def read(self, _size: int | None = -1, /) -> bytes:
        raise AssertionError("the body was read")


def test_a_content_length_over_the_limit_is_rejected_before_the_body_is_read(
    make_app: MakeApp,
) -> None:
    client = client_of(make_app(max_upload_bytes=1000))
    response = client.post(
        JOBS,
        input_stream=Unreadable(),
        environ_overrides={"CONTENT_LENGTH": str(10**12)},
        content_type="multipart/form-data; boundary=x",
    )
    assert_problem(response, 413, "upload-too-large")


def test_a_negative_or_malformed_content_length_is_rejected(make_app: MakeApp) -> None:
    app = make_app(max_upload_bytes=1000)
    for length in ("-1", "1e3", "abc"):
        response = client_of(app).post(
            JOBS,
            input_stream=io.BytesIO(b"--x\r\n"),
            environ_overrides={"CONTENT_LENGTH": length},
            content_type="multipart/form-data; boundary=x",
        )
        assert response.status_code in {400, 422}, length
    assert nothing_is_stored(app.extensions["faces_jobs"])


def test_too_many_files_are_refused(make_app: MakeApp) -> None:
    app = make_app(max_files=3)
    files = [upload(f"{number}.png", number) for number in range(4)]
    response = client_of(app).post(JOBS, data={"files": files})
    assert_problem(response, 413, "upload-too-large")
    assert nothing_is_stored(app.extensions["faces_jobs"])


def test_a_hundred_thousand_parts_are_rejected(make_app: MakeApp) -> None:
    app = make_app(max_files=10)
    part = b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\n\r\n'
    response = client_of(app).post(
        JOBS,
        input_stream=io.BytesIO(part * 100_000 + b"--x--\r\n"),
        content_type="multipart/form-data; boundary=x",
    )
    assert response.status_code in {400, 413}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        b"--x\r\n",
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nhalf a fi',
        b"--x\r\nContent-Type: text/plain\r\n\r\nno disposition\r\n--x--\r\n",
        b'--x\r\nContent-Disposition: form-data; name="label"\r\n\r\n\xff\xfe\r\n--x--\r\n',
        b'--x\r\nContent-Disposition: form-data; name="label"\r\n' + b"X: y\r\n" * 200_000,
        b'--x\r\nContent-Disposition: form-data; name="label"\r\n\r\n' + b"a" * 1_000_000,
    ],
)
def test_a_truncated_or_malformed_body_leaves_nothing(
    client: WebClient, services: Services, body: bytes
) -> None:
    response = client.post(
        JOBS,
        input_stream=io.BytesIO(body),
        content_type="multipart/form-data; boundary=x",
    )
    assert_problem(response, 400, "bad-request")
    assert nothing_is_stored(services)


def test_an_upload_of_a_client_that_disconnects_leaves_nothing(
    client: WebClient, services: Services
) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nhalf'
    response = client.post(
        JOBS,
        input_stream=io.BytesIO(body),
        environ_overrides={"CONTENT_LENGTH": "1000000"},
        content_type="multipart/form-data; boundary=x",
    )
    assert_problem(response, 400, "bad-request")
    assert nothing_is_stored(services)


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "/etc/passwd",
        "..\\..\\windows\\win.ini",
        "C:\\Users\\me\\a.png",
        "a\0.png",
        "x.jpg.php",
        "n" * 300 + ".png",
        "\u202egnp.exe",
        "<img src=x onerror=alert(1)>.png",
        "=HYPERLINK(1).png",
    ],
)
def test_file_names_never_become_paths_of_the_storage(
    client: WebClient, services: Services, name: str
) -> None:
    response = client.post(JOBS, data={"files": upload(name)})
    assert response.status_code == 201
    (item,) = list_items(services.database, response.json["id"]).items
    assert item.name
    assert not item.name.startswith("/")
    assert ".." not in item.name.split("/")
    assert "\0" not in item.name
    (stored,) = stored_files(services)
    assert re.fullmatch(
        r"jobs/[0-9a-f-]{36}/uploads/0", str(stored.relative_to(services.storage.folder))
    )


def test_an_unsupported_or_invalid_body_is_rejected(client: WebClient) -> None:
    response = client.post(JOBS, data="x", content_type="text/plain")
    assert_problem(response, 415, "content-type")
    response = client.post(JOBS, data=b"x", content_type="multipart/form-data")
    assert_problem(response, 400, "bad-request")
    response = client.post(JOBS, data="{no", content_type="application/json")
    assert_problem(response, 400, "bad-request")
    assert response.json["detail"] == "The body is not valid JSON."


def test_a_full_disk_is_507(make_app: MakeApp) -> None:
    app = make_app(min_free_bytes=2**60)
    response = client_of(app).post(JOBS, data={"files": upload()})
    assert_problem(response, 507, "storage-full")
    assert int(response.headers["Retry-After"]) > 0
    assert nothing_is_stored(app.extensions["faces_jobs"])
