"""Several machines with separate disks that share a bucket, PostgreSQL and Redis."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from faces_jobs.db.processes import live_processes
from faces_jobs.db.session import open_database
from faces_jobs.db.tables import SegmentRow
from faces_jobs.results import get_job
from faces_jobs.settings import Settings
from tests.buckets import BucketPrefix
from tests.integration.processes import (
    portrait_clip,
    storage_variables,
    wait_for,
    web_server,
    worker_process,
)


@pytest.fixture
def shared_settings(
    settings: Settings, bucket: BucketPrefix, postgres_database_url: str, empty_redis_url: str
) -> Settings:
    """The settings that all machines share."""
    return bucket.settings(
        settings,
        database_url=postgres_database_url,
        broker_url=empty_redis_url,
        segment_seconds=0.4,
    )


def test_machines_share_a_video_and_a_deleted_job_is_gone_from_all(
    shared_settings: Settings, bucket: BucketPrefix, tmp_path: Path, log: Path
) -> None:
    clip = portrait_clip(tmp_path / "clip.mp4", 48, rate=20, codec_options={"g": "5"})
    machines = [tmp_path / "one", tmp_path / "two"]
    with ExitStack() as started:
        database = started.enter_context(open_database(shared_settings.database_url))
        for folder in machines:
            machine_settings = shared_settings.model_copy(update={"data_folder": folder})
            started.enter_context(worker_process(machine_settings, log))
        server = started.enter_context(
            web_server(
                shared_settings.database_url,
                tmp_path / "web",
                FACES_JOBS_BROKER_URL=shared_settings.broker_url,
                **storage_variables(shared_settings),
            )
        )
        client = started.enter_context(httpx.Client(base_url=server.url, timeout=60))
        wait_for(
            lambda: (
                [one.kind for one in live_processes(database, within_seconds=60)].count("worker")
                == 2
            )
        )

        with clip.open("rb") as file:
            response = client.post("/api/v1/jobs", files={"files": ("clip.mp4", file)})
        assert response.status_code == 201, response.text
        job = response.json()["id"]
        wait_for(lambda: get_job(database, job).status.ended)

        assert get_job(database, job).status == "succeeded"
        with database.read() as session:
            rows = session.execute(
                select(SegmentRow.stage, SegmentRow.worker).where(SegmentRow.job_id == job)
            ).all()
        assert sum(row.stage == "find" for row in rows) == 6
        assert len({row.worker for row in rows}) == 2, "both machines took part"
        check_downloads(client, f"/api/v1/jobs/{job}/artifacts")
        assert client.get("/readyz").json().get("fields", {}).keys() == {"sweep"}

        assert client.delete(f"/api/v1/jobs/{job}").status_code in {200, 204}
        assert bucket.keys() == []
        assert bucket.pending_uploads() == []
    for folder in machines:
        kept = [path for path in (folder / "files").rglob("*") if path.is_file()]
        assert all("fetched" in path.parts for path in kept), (
            "only cached files, which expire, are left"
        )


def check_downloads(client: httpx.Client, address: str) -> None:
    """Download every file whole, and ranges of one, as players and browsers do."""
    artifacts = client.get(address).json()["artifacts"]
    assert {"annotated_video", "thumbnail", "faces_csv", "faces_parquet"} <= {
        one["kind"] for one in artifacts
    }
    for one in artifacts:
        url = f"{address}/{one['id']}"
        whole = client.get(url)
        assert whole.status_code == 200
        assert len(whole.content) == one["bytes"] == int(whole.headers["Content-Length"])
        assert whole.headers["ETag"] == f'"{one["sha256"]}"'
    (video,) = [one for one in artifacts if one["kind"] == "annotated_video"]
    url = f"{address}/{video['id']}"
    whole = client.get(url)
    head = client.head(url)
    assert head.status_code == 200
    assert {name: head.headers[name] for name in ("ETag", "Content-Length", "Last-Modified")} == {
        name: whole.headers[name] for name in ("ETag", "Content-Length", "Last-Modified")
    }
    tag, size = whole.headers["ETag"], video["bytes"]
    for range_header, part in (
        ("bytes=0-99", whole.content[:100]),
        (f"bytes={size - 50}-", whole.content[-50:]),
        ("bytes=-7", whole.content[-7:]),
        ("bytes=1000-2999", whole.content[1000:3000]),
    ):
        response = client.get(url, headers={"Range": range_header, "If-Range": tag})
        assert (response.status_code, response.content) == (206, part)
        assert response.headers["Content-Range"].endswith(f"/{size}")
    assert client.get(url, headers={"Range": "bytes=0-9", "If-Range": '"x"'}).status_code == 200
    assert client.get(url, headers={"Range": f"bytes={size}-"}).status_code == 416
    assert client.get(url, headers={"If-None-Match": tag}).status_code == 304
