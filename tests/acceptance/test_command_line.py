"""A job's whole life through the command line, with real processes and a real clip."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from PIL import Image
from skimage.data import astronaut

from faces_jobs.cli import exits
from tests.acceptance.service import RunningService, running_service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("service")) as service:
        yield service
    assert service.process.returncode == 0, service.log.read_text()


@pytest.fixture(scope="module")
def job(service: RunningService, quick_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A finished job of the clip and of a file that is not a video."""
    folder = tmp_path_factory.mktemp("holiday")
    (folder / "notes.mp4").write_text("#EXTM3U\nhttp://127.0.0.1/secret\n")
    for hidden in (".trash/film.mp4", ".film.mp4"):  # neither is submitted
        (folder / hidden).parent.mkdir(exist_ok=True)
        (folder / hidden).write_bytes(b"none")
    submitted = service.faces_jobs("submit", str(quick_clip), str(folder), "--label", "Mars")
    assert submitted.returncode == 0, submitted.stderr
    job_id = submitted.stdout.strip()
    waited = service.faces_jobs("wait", job_id)
    assert waited.returncode == exits.SOME_FAILED, waited.stderr + service.log.read_text()
    return job_id


def test_the_good_file_succeeds_and_the_bad_one_shows_its_error(
    service: RunningService, job: str
) -> None:
    shown = service.faces_jobs("status", job, "--json")
    document = json.loads(shown.stdout)
    assert shown.returncode == exits.SOME_FAILED
    assert document["status"] == "succeeded_with_errors"
    assert document["label"] == "Mars"
    assert document["items_by_status"]["succeeded"] == 1
    assert document["items_by_status"]["failed"] == 1
    assert sum(document["items_by_status"].values()) == 2
    assert document["face_count"] > 0
    assert {model["name"] for model in document["models"]} >= {"gender", "expression", "multiple"}
    readable = service.faces_jobs("status", job)
    assert "notes.mp4" in readable.stdout
    assert "playlist" in readable.stdout.lower()


def test_faces_are_filtered(service: RunningService, job: str) -> None:
    every = service.faces_jobs("faces", job)
    rows = list(csv.DictReader(io.StringIO(every.stdout)))
    women = service.faces_jobs(
        "faces", job, "--gender", "female", "--min-probability", "0.5", "--format", "jsonl"
    )
    faces = [json.loads(line) for line in women.stdout.splitlines()]
    expected = [row for row in rows if row["gender"] == "female"]
    assert 0 < len(faces) == len(expected)
    assert {face["attributes"]["gender"]["label"] for face in faces} == {"female"}
    late = service.faces_jobs("faces", job, "--min-time-ms", "3000")
    times = [float(row["time_ms"]) for row in csv.DictReader(io.StringIO(late.stdout))]
    assert times
    assert min(times) >= 3000


def test_all_artifacts_are_downloaded_completely(
    service: RunningService, job: str, quick_clip: Path, tmp_path: Path
) -> None:
    done = service.faces_jobs("download", job, "--to", str(tmp_path))
    assert done.returncode == 0, done.stderr
    paths = [Path(line) for line in done.stdout.splitlines()]
    assert len(paths) == len(set(paths))
    assert {path.suffix for path in paths} >= {".mp4", ".csv", ".jsonl", ".parquet", ".jpg"}
    annotated = next(path for path in paths if path.suffix == ".mp4")
    assert frame_times(annotated) == frame_times(quick_clip)
    with av.open(str(annotated)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.audio


def test_downloading_a_kind_that_the_job_lacks_is_an_error(
    service: RunningService, job: str, tmp_path: Path
) -> None:
    done = service.faces_jobs("download", job, "--kind", "hologram", "--to", str(tmp_path))
    assert done.returncode == exits.FAILED
    assert "no artifact of kind hologram" in done.stderr
    assert "thumbnail" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_job_is_cancelled_and_deleted_with_its_files(
    service: RunningService, quick_clip: Path
) -> None:
    submitted = service.faces_jobs("submit", str(quick_clip))
    job_id = submitted.stdout.strip()
    assert service.faces_jobs("cancel", job_id).stdout.strip() == "cancelled"
    assert service.faces_jobs("wait", job_id).returncode == exits.FAILED
    assert service.faces_jobs("delete", job_id, "--yes").returncode == 0
    assert service.faces_jobs("status", job_id).returncode == exits.NOT_FOUND
    data = Path(service.environment["FACES_JOBS_DATA_FOLDER"])
    assert not [path for path in data.rglob("*") if job_id in str(path)]


def test_a_repeated_idempotency_key_creates_no_second_job(
    service: RunningService, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.png"
    write_photo(photo)
    first = service.faces_jobs("submit", str(photo), "--idempotency-key", "one", "--wait")
    again = service.faces_jobs("submit", str(photo), "--idempotency-key", "one")
    other = service.faces_jobs(
        "submit", str(photo), "--idempotency-key", "one", "--models", "1,0,0"
    )
    assert first.returncode == 0, first.stderr
    assert first.stdout == again.stdout
    assert other.returncode == exits.FAILED
    assert "409" in other.stderr


def write_photo(path: Path) -> None:
    Image.fromarray(astronaut()).save(path)  # type: ignore[no-untyped-call] # ships no types


def frame_times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [round(float(frame.time or 0), 4) for frame in container.decode(stream)]
