"""One segment from claim to finish: rows, files and states, also when things go wrong."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image
from sqlalchemy import select, update

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.session import Database
from faces_jobs.db.tables import FaceRow, SegmentRow
from faces_jobs.errors import DeviceError, ModelError
from faces_jobs.jobs.documents import ArtifactDocument, ItemDocument
from faces_jobs.jobs.query import FaceQuery, TrackQuery
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.stages import Classifier, Detector
from faces_jobs.queue import CeleryQueue
from faces_jobs.results import (
    cancel_job,
    get_job,
    list_artifacts,
    list_faces,
    list_items,
    list_tracks,
    open_artifact,
)
from faces_jobs.retention import delete_job
from faces_jobs.settings import Settings
from faces_jobs.storage import LocalStorage
from faces_jobs.submit import submit_files, submit_folder
from faces_jobs.worker.finish import finish_job
from faces_jobs.worker.process import process_segment
from faces_jobs.worker.resources import Worker
from tests.clips import moving, write_video
from tests.fakes import ColourClassifier, SquareDetector

# The squares that stand for faces are smaller than the faces one usually wants.
SMALL = JobSpec(smallest_face=4)


class Squares:
    """The networks of `tests.fakes`, and a moment to interfere at."""

    device = "cpu"

    def __init__(self) -> None:
        self.before_batch: Callable[[int], None] = lambda _batch: None
        self.batches = 0

    def detector(self) -> Detector:
        """A detector that lets the test act before each batch."""
        networks = self

        class Interrupted(SquareDetector):
            def detect(self, pictures_bgr: Sequence[Any]) -> Any:
                networks.batches += 1
                networks.before_batch(networks.batches)
                return super().detect(pictures_bgr)

        return Interrupted()

    def classifiers(self, names: Sequence[str]) -> Sequence[Classifier]:
        """Those of these names."""
        return [ColourClassifier(name) for name in names]


class Bench:
    """A worker and what is needed to give it work."""

    def __init__(self, worker: Worker, networks: Squares, folder: Path) -> None:
        self.worker = worker
        self.networks = networks
        self.folder = folder

    def submit(self, *paths: Path, spec: JobSpec | None = None) -> str:
        """Upload these files as one job."""
        worker = self.worker
        with worker.storage.receive() as incoming:
            files = [incoming.add(path.name, [path.read_bytes()]) for path in paths]
            return submit_files(
                files,
                spec or SMALL,
                database=worker.database,
                storage=worker.storage,
                queue=worker.queue,
                settings=worker.settings,
            ).job_id

    def segments(self, job_id: str) -> list[int]:
        """The numbers of a job's segments."""
        with self.worker.database.read() as session:
            return list(
                session.scalars(
                    select(SegmentRow.id).where(SegmentRow.job_id == job_id).order_by(SegmentRow.id)
                )
            )

    def work(self, job_id: str, worker: Worker | None = None) -> None:
        """Process every segment of a job, then end it."""
        for segment_id in self.segments(job_id):
            process_segment(segment_id, worker or self.worker)
        finish_job(job_id, worker or self.worker)

    def items(self, job_id: str) -> list[ItemDocument]:
        return list_items(self.worker.database, job_id).items

    def artifacts(self, job_id: str) -> list[ArtifactDocument]:
        return list_artifacts(self.worker.database, job_id).artifacts

    def path(self, artifact: ArtifactDocument) -> Path:
        return open_artifact(
            self.worker.database, self.worker.storage, artifact.job_id, artifact.id
        ).path

    def files(self) -> list[str]:
        """Every file in the storage but uploads."""
        folder = self.worker.storage.folder
        return sorted(
            str(path.relative_to(folder))
            for path in folder.rglob("*")
            if path.is_file() and path.parent.name != "uploads"
        )


@pytest.fixture
def bench(
    settings: Settings,
    database: Database,
    storage: LocalStorage,
    queue: CeleryQueue,
    tmp_path: Path,
) -> Bench:
    networks = Squares()
    worker = Worker(
        name="alice",
        settings=settings.model_copy(
            update={"batch_size": 2, "heartbeat_seconds": 0.02, "lease_seconds": 30.0}
        ),
        database=database,
        storage=storage,
        queue=queue,
        networks=networks,
    )
    return Bench(worker, networks, tmp_path)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A video of ten frames with two squares in each."""
    return write_video(tmp_path / "clip.mp4", moving(10))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photograph of two squares."""
    path = tmp_path / "photo.png"
    Image.fromarray(moving(1)[0][:, :, ::-1]).save(path)
    return path


def truncated(path: Path) -> Path:
    """A copy of a video that breaks off in the middle of its frames."""
    whole = write_video(path.with_suffix(".mkv"), moving(60), rate=25)
    cut = path.with_name("cut.mkv")
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    return cut


def test_a_video_and_a_photo_become_rows_and_files(bench: Bench, clip: Path, photo: Path) -> None:
    job_id = bench.submit(clip, photo)

    bench.work(job_id)

    database = bench.worker.database
    job = get_job(database, job_id)
    assert (job.status, job.progress.fraction) == ("succeeded", 1.0)
    assert (job.progress.frames_done, job.progress.frames_total) == (11, 11)
    assert {model.name for model in job.models} == {
        "detector",
        "gender",
        "expression",
        "multiple",
    }
    video, image = bench.items(job_id)
    assert (video.kind, video.width, video.height, video.face_count) == ("video", 64, 48, 20)
    assert (image.kind, image.format, image.face_count, image.track_count) == ("image", "png", 2, 2)
    faces = list_faces(database, FaceQuery(job_id=job_id, item_id=video.id)).faces
    assert [face.frame_index for face in faces] == [n for n in range(10) for _ in range(2)]
    assert [face.time_ms for face in faces[::2]] == pytest.approx([40.0 * n for n in range(10)])
    assert set(faces[0].attributes) == set(JobSpec().heads)
    tracks = list_tracks(database, TrackQuery(job_id=job_id)).tracks
    assert [(track.item_name, track.face_count) for track in tracks] == [
        ("clip.mp4", 10),
        ("clip.mp4", 10),
        ("photo.png", 1),
        ("photo.png", 1),
    ]
    found = {artifact.name: artifact for artifact in bench.artifacts(job_id)}
    assert set(found) == {
        "0-clip.annotated.mp4",
        "0-clip.track-1.jpg",
        "0-clip.track-2.jpg",
        "1-photo.annotated.png",
        "1-photo.track-1.jpg",
        "1-photo.track-2.jpg",
        "faces.csv",
        "faces.jsonl",
        "faces.parquet",
        "tracks.csv",
    }
    with av.open(str(bench.path(found["0-clip.annotated.mp4"]))) as container:
        assert sum(1 for _ in container.decode(video=0)) == 10
    with Image.open(bench.path(found["1-photo.annotated.png"])) as copy:
        assert (copy.format, copy.size) == ("PNG", (64, 48))
    for track in tracks:
        assert track.thumbnail_artifact_id is not None
    assert len(bench.files()) == len(found), "nothing but artifacts is left"


def test_what_is_switched_off_is_not_made(bench: Bench, clip: Path) -> None:
    job_id = bench.submit(
        clip,
        spec=SMALL.model_copy(
            update={"annotated": False, "expression": False, "multiple": False, "frame_stride": 3}
        ),
    )

    bench.work(job_id)

    faces = list_faces(bench.worker.database, FaceQuery(job_id=job_id)).faces
    assert sorted({face.frame_index for face in faces}) == [0, 3, 6, 9]
    assert set(faces[0].attributes) == {"gender"}
    assert {each.kind for each in bench.artifacts(job_id)} == {
        "thumbnail",
        "faces_csv",
        "faces_jsonl",
        "faces_parquet",
        "tracks_csv",
    }


def test_inputs_whose_names_collide_keep_distinct_outputs(bench: Bench, photo: Path) -> None:
    with bench.worker.storage.receive() as incoming:
        files = [
            incoming.add(name, [photo.read_bytes()])
            for name in ("a.png", "a.jpg", "sub/a.png", "A.png", "\u202e" * 300 + "a.png")
        ]
        worker = bench.worker
        job_id = submit_files(
            files,
            SMALL,
            database=worker.database,
            storage=worker.storage,
            queue=worker.queue,
            settings=worker.settings,
        ).job_id

    bench.work(job_id)

    names = [each.name for each in bench.artifacts(job_id) if each.kind == "annotated_image"]
    assert len({name.casefold() for name in names}) == 5


def test_one_bad_file_leaves_the_others_alone(bench: Bench, photo: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(photo.read_bytes()[:30] + b"\0" * 50)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    job_id = bench.submit(photo, bad, empty)

    bench.work(job_id)

    assert get_job(bench.worker.database, job_id).status == "succeeded_with_errors"
    errors = [item.error and item.error.code for item in bench.items(job_id)]
    assert errors[0] is None
    assert errors[2] == "empty-file"
    assert bench.items(job_id)[1].status == "failed"
    assert {each.name.partition("-")[0] for each in bench.artifacts(job_id) if each.item_id} == {
        "0"
    }


def test_a_file_that_breaks_off_fails_and_keeps_what_was_read(bench: Bench, clip: Path) -> None:
    job_id = bench.submit(truncated(clip))

    bench.work(job_id)

    (item,) = bench.items(job_id)
    assert item.error is not None
    assert (item.status, item.error.code) == ("failed", "truncated")
    assert item.face_count > 20
    assert item.progress.frames_done > 10
    assert "annotated_video" in {each.kind for each in bench.artifacts(job_id)}
    assert get_job(bench.worker.database, job_id).status == "failed"


def test_a_doubled_message_changes_nothing(bench: Bench, clip: Path) -> None:
    job_id = bench.submit(clip)
    bench.work(job_id)
    before = (bench.files(), bench.artifacts(job_id), get_job(bench.worker.database, job_id))

    for _ in range(3):
        bench.work(job_id)

    after = (bench.files(), bench.artifacts(job_id), get_job(bench.worker.database, job_id))
    assert after[:2] == before[:2]
    assert after[2].status == before[2].status


def test_who_ends_the_last_item_ends_the_job(bench: Bench, photo: Path, clip: Path) -> None:
    job_id = bench.submit(photo, clip)
    first, last = bench.segments(job_id)
    depth = bench.worker.queue.depth()
    process_segment(first, bench.worker)
    assert get_job(bench.worker.database, job_id).status == "running"
    process_segment(last, bench.worker)
    assert get_job(bench.worker.database, job_id).status == "succeeded"
    assert bench.worker.queue.depth() == depth, "no message waits behind those of other jobs"


def test_a_cancel_is_seen_within_a_batch_of_the_next_renewal(bench: Bench, tmp_path: Path) -> None:
    job_id = bench.submit(write_video(tmp_path / "long.mp4", moving(400)))
    renewed = threading.Event()

    def cancel(batch: int) -> None:
        if batch == 2:
            cancel_job(bench.worker.database, job_id)
        if batch > 2:
            renewed.wait(0.05)  # longer than a heartbeat

    bench.networks.before_batch = cancel
    bench.work(job_id)

    assert bench.networks.batches < 200, "it did not work to the end"
    assert get_job(bench.worker.database, job_id).status == "cancelled"
    assert [item.status for item in bench.items(job_id)] == ["cancelled"]
    assert bench.files() == []


def test_a_worker_that_is_to_end_hands_its_segment_back(bench: Bench, clip: Path) -> None:
    job_id = bench.submit(clip)
    depth = bench.worker.queue.depth()

    def stop(batch: int) -> None:
        if batch == 2:
            bench.worker.stop_requested.set()

    bench.networks.before_batch = stop
    process_segment(bench.segments(job_id)[0], bench.worker)

    assert bench.networks.batches == 2, "the batch in hand is the last"
    assert bench.worker.queue.depth() == depth + 1, "others are told at once"
    assert bench.files() == []
    bob = replace(bench.worker, name="bob", stop_requested=threading.Event())
    bench.work(job_id, bob)
    assert get_job(bench.worker.database, job_id).status == "succeeded"
    with bench.worker.database.read() as session:
        assert session.execute(select(SegmentRow.attempts, SegmentRow.worker)).one() == (1, "bob")


def test_a_zombie_s_rows_and_files_vanish(bench: Bench, clip: Path) -> None:
    """Stopped past its lease, then woken: the other's results stay as they are, byte for byte."""
    job_id = bench.submit(clip)
    (segment_id,) = bench.segments(job_id)
    bob = replace(bench.worker, name="bob", networks=Squares())
    others: list[object] = []

    def sleep_past_the_lease(batch: int) -> None:
        if batch != 3:
            return
        with bench.worker.database.begin() as session:
            session.execute(update(SegmentRow).values(lease_until=now_seconds() - 1))
        bench.work(job_id, bob)
        # The zombie's own workspace is still there at this moment.
        visible = [name for name in bench.files() if not name.startswith("work/")]
        others.append((visible, bench.artifacts(job_id)))

    # A heart that beats once an hour is one that was stopped.
    zombie = replace(
        bench.worker,
        settings=bench.worker.settings.model_copy(
            update={"heartbeat_seconds": 3600.0, "lease_seconds": 7200.0}
        ),
    )
    bench.networks.before_batch = sleep_past_the_lease
    process_segment(segment_id, zombie)

    assert bench.networks.batches == 5, "the zombie worked to its end"
    assert others == [(bench.files(), bench.artifacts(job_id))]
    assert get_job(bench.worker.database, job_id).status == "succeeded"
    with bench.worker.database.read() as session:
        assert session.scalars(select(SegmentRow.worker)).all() == ["bob"]
        assert len(session.scalars(select(FaceRow.frame_index)).all()) == 20


def test_a_job_deleted_while_it_is_worked_on_leaves_nothing(bench: Bench, clip: Path) -> None:
    job_id = bench.submit(clip)

    def delete(batch: int) -> None:
        if batch == 5:
            delete_job(job_id, database=bench.worker.database, storage=bench.worker.storage)

    bench.networks.before_batch = delete
    (segment_id,) = bench.segments(job_id)
    process_segment(segment_id, bench.worker)

    folder = bench.worker.storage.folder
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert list((folder / "jobs").iterdir()) == []
    with bench.worker.database.read() as session:
        assert session.scalars(select(FaceRow.frame_index)).all() == []


@pytest.mark.parametrize("error", [ModelError("No weights."), DeviceError("No CUDA.")])
def test_a_missing_network_fails_the_job_with_its_reason(
    bench: Bench, clip: Path, photo: Path, error: Exception
) -> None:
    def missing() -> Detector:
        raise error

    bench.networks.detector = missing  # type: ignore[method-assign]  # networks that are not there
    job_id = bench.submit(clip, photo)

    bench.work(job_id)

    job = get_job(bench.worker.database, job_id)
    assert job.status == "failed"
    assert job.error is not None
    assert job.error.message == str(error)
    assert [item.error and item.error.message for item in bench.items(job_id)] == [str(error)] * 2


def test_a_full_disk_is_waited_for(bench: Bench, clip: Path) -> None:
    job_id = bench.submit(clip)

    def fill(_batch: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    bench.networks.before_batch = fill
    bench.work(job_id)
    assert bench.files() == []
    with bench.worker.database.read() as session:
        status, reason = session.execute(select(SegmentRow.status, SegmentRow.last_error)).one()
    assert status == "queued"
    assert reason is not None
    assert "disk is full" in reason

    bench.networks.before_batch = lambda _batch: None
    bench.work(job_id)
    assert get_job(bench.worker.database, job_id).status == "succeeded"


def test_what_fails_every_time_is_given_up_with_its_last_reason(bench: Bench, clip: Path) -> None:
    job_id = bench.submit(clip)

    def fail(_batch: int) -> None:
        raise ZeroDivisionError("/secret/path")

    bench.networks.before_batch = fail
    for _ in range(bench.worker.settings.max_attempts):
        assert get_job(bench.worker.database, job_id).status in ("queued", "running")
        bench.work(job_id)

    (item,) = bench.items(job_id)
    assert item.error is not None
    assert item.error.code == "poison"
    assert "ZeroDivisionError" in item.error.message
    assert "/secret/path" not in item.error.message
    assert get_job(bench.worker.database, job_id).status == "failed"


def test_no_room_for_a_workspace_is_waited_for(bench: Bench, clip: Path) -> None:
    job_id = bench.submit(clip)
    full = replace(
        bench.worker,
        storage=LocalStorage(bench.worker.storage.folder, min_free_bytes=2**62),
    )
    bench.work(job_id, full)
    assert get_job(bench.worker.database, job_id).status == "running"
    bench.work(job_id)
    assert get_job(bench.worker.database, job_id).status == "succeeded"


def test_an_upload_that_is_gone_is_told(bench: Bench, photo: Path) -> None:
    job_id = bench.submit(photo)
    for path in bench.worker.storage.folder.rglob("uploads/*"):
        path.unlink()

    bench.work(job_id)

    (item,) = bench.items(job_id)
    assert item.error is not None
    assert "not there any more" in item.error.message


# Files of the server


@pytest.fixture
def rooted(bench: Bench, photo: Path, tmp_path: Path) -> Bench:
    """The bench with a root that holds one photograph."""
    root = tmp_path / "root"
    root.mkdir()
    photo.rename(root / "photo.png")
    bench.worker = replace(
        bench.worker, settings=bench.worker.settings.model_copy(update={"roots": {"films": root}})
    )
    return bench


def submit_root(bench: Bench) -> str:
    worker = bench.worker
    return submit_folder(
        "films",
        "",
        SMALL,
        database=worker.database,
        storage=worker.storage,
        queue=worker.queue,
        settings=worker.settings,
    ).job_id


def test_a_server_s_file_is_read_where_it_lies(rooted: Bench) -> None:
    job_id = submit_root(rooted)
    rooted.work(job_id)

    assert get_job(rooted.worker.database, job_id).status == "succeeded"
    delete_job(job_id, database=rooted.worker.database, storage=rooted.worker.storage)
    assert (rooted.worker.settings.roots["films"] / "photo.png").exists()


@pytest.mark.parametrize("change", ["content", "link", "gone", "root"])
def test_a_server_s_file_that_changed_is_an_error(
    rooted: Bench, change: str, tmp_path: Path
) -> None:
    job_id = submit_root(rooted)
    path = rooted.worker.settings.roots["films"] / "photo.png"
    if change == "content":
        path.write_bytes(path.read_bytes() + b"x")
    elif change == "link":
        path.rename(tmp_path / "elsewhere.png")
        path.symlink_to(tmp_path / "elsewhere.png")
    elif change == "gone":
        path.unlink()
    else:
        rooted.worker = replace(
            rooted.worker, settings=rooted.worker.settings.model_copy(update={"roots": {}})
        )

    rooted.work(job_id)

    (item,) = rooted.items(job_id)
    assert item.status == "failed"
    assert item.error is not None
    assert str(tmp_path) not in item.error.message
