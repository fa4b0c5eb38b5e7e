"""One segment from claim to finish: the rows, files and states that result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import pytest
from PIL import Image

from faces_jobs.jobs.labels import HEADS, MODELS, UNSURE
from faces_jobs.jobs.query import AttributeFilter, FaceQuery, TrackQuery
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.results import (
    get_job,
    list_faces,
    list_tracks,
)
from faces_jobs.submit import submit_files
from faces_jobs.worker.process import process_segment
from tests.clips import moving_squares, write_damaged, write_video
from tests.integration.harness import SMALL_FACES, Harness


def truncated(path: Path) -> Path:
    """Write a video that ends in the middle of its frames."""
    whole = write_video(path.with_suffix(".mkv"), moving_squares(60), rate=25)
    cut = path.with_name("cut.mkv")
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    return cut


@pytest.mark.parametrize(
    ("setting", "option", "unsure"),
    [
        ("", "", set()),
        ("0.9", "", set(HEADS)),
        ("0.9", "0", set()),
        ("gender=0.9,age=0.9", "age=off", {"gender"}),
    ],
)
def test_unsure_labels_are_stored_with_their_thresholds(
    harness: Harness, photo: Path, setting: str, option: str, unsure: set[str]
) -> None:
    worker = replace(
        harness.worker,
        settings=harness.worker.settings.model_copy(update={"unsure_below": setting}),
    )
    spec = SMALL_FACES.model_copy(update={"unsure_below": option})
    job_id = harness.submit(photo, spec=spec)

    harness.work(job_id, worker)

    database = harness.worker.database
    faces = list_faces(database, FaceQuery(job_id=job_id)).faces
    tracks = list_tracks(database, TrackQuery(job_id=job_id)).tracks
    assert len(faces) == len(tracks) == 2
    for attributes in [one.attributes for one in faces] + [one.attributes for one in tracks]:
        assert {head for head, found in attributes.items() if found.label == UNSURE} == unsure
        # The fake classifier gives mirrored crops the same labels, but `left` becomes `right`.
        sure = [found.probability for head, found in attributes.items() if head != "pose"]
        assert sure == [pytest.approx(0.8)] * (len(HEADS) - 1)
    for head in HEADS:
        query = FaceQuery(job_id=job_id, attributes={head: AttributeFilter((UNSURE,))})
        assert len(list_faces(database, query).faces) == (2 if head in unsure else 0)
    thresholds = {model.name: model.unsure_below for model in get_job(database, job_id).models}
    assert thresholds["detector"] == {}
    for model, heads in MODELS.items():
        assert thresholds[model] == {head: 0.9 if head in unsure else 0.0 for head in heads}


def test_a_video_and_a_photo_become_rows_and_files(
    harness: Harness, clip: Path, photo: Path
) -> None:
    job_id = harness.submit(clip, photo)

    harness.work(job_id)

    database = harness.worker.database
    job = get_job(database, job_id)
    assert (job.status, job.progress.fraction) == ("succeeded", 1.0)
    assert (job.progress.frames_done, job.progress.frames_total) == (11, 11)
    assert {model.name for model in job.models} == {
        "detector",
        "gender",
        "expression",
        "multiple",
    }
    video, image = harness.items(job_id)
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
    found = {artifact.name: artifact for artifact in harness.artifacts(job_id)}
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
    with av.open(str(harness.path(found["0-clip.annotated.mp4"]))) as container:
        assert sum(1 for _ in container.decode(video=0)) == 10
    with Image.open(harness.path(found["1-photo.annotated.png"])) as copy:
        assert (copy.format, copy.size) == ("PNG", (64, 48))
    for track in tracks:
        assert track.thumbnail_artifact_id is not None
    assert len(harness.files()) == len(found), "only artifacts are left"


def test_damaged_frames_are_counted(harness: Harness, photo: Path, tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", moving_squares(20), codec_options={"g": "1"})
    path = write_damaged(tmp_path / "hurt.mp4", whole, [10, 11])
    job_id = harness.submit(path, photo)

    harness.work(job_id)

    job = get_job(harness.worker.database, job_id)
    assert (job.status, job.damaged_frames, job.progress.frames_done) == ("succeeded", 2, 19)
    assert [item.damaged_frames for item in harness.items(job_id)] == [2, 0]


def test_outputs_that_are_switched_off_are_not_made(harness: Harness, clip: Path) -> None:
    job_id = harness.submit(
        clip,
        spec=SMALL_FACES.model_copy(
            update={"annotated": False, "expression": False, "multiple": False, "frame_stride": 3}
        ),
    )

    harness.work(job_id)

    faces = list_faces(harness.worker.database, FaceQuery(job_id=job_id)).faces
    assert sorted({face.frame_index for face in faces}) == [0, 3, 6, 9]
    assert set(faces[0].attributes) == {"gender"}
    assert {each.kind for each in harness.artifacts(job_id)} == {
        "thumbnail",
        "faces_csv",
        "faces_jsonl",
        "faces_parquet",
        "tracks_csv",
    }


def test_inputs_whose_names_collide_keep_distinct_outputs(harness: Harness, photo: Path) -> None:
    with harness.worker.storage.receive() as incoming:
        files = [
            incoming.add(name, [photo.read_bytes()])
            for name in ("a.png", "a.jpg", "sub/a.png", "A.png", "\u202e" * 300 + "a.png")
        ]
        worker = harness.worker
        job_id = submit_files(
            files,
            SMALL_FACES,
            database=worker.database,
            storage=worker.storage,
            queue=worker.queue,
            settings=worker.settings,
        ).job_id

    harness.work(job_id)

    names = [each.name for each in harness.artifacts(job_id) if each.kind == "annotated_image"]
    assert len({name.casefold() for name in names}) == 5


def test_one_bad_file_does_not_affect_the_others(
    harness: Harness, photo: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(photo.read_bytes()[:30] + b"\0" * 50)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    job_id = harness.submit(photo, bad, empty)

    harness.work(job_id)

    assert get_job(harness.worker.database, job_id).status == "succeeded_with_errors"
    errors = [item.error and item.error.code for item in harness.items(job_id)]
    assert errors[0] is None
    assert errors[2] == "empty-file"
    assert harness.items(job_id)[1].status == "failed"
    assert {each.name.partition("-")[0] for each in harness.artifacts(job_id) if each.item_id} == {
        "0"
    }


def test_a_truncated_file_fails_and_keeps_what_was_read(harness: Harness, clip: Path) -> None:
    job_id = harness.submit(truncated(clip))

    harness.work(job_id)

    (item,) = harness.items(job_id)
    assert item.error is not None
    assert (item.status, item.error.code) == ("failed", "truncated")
    assert item.face_count > 20
    assert item.progress.frames_done > 10
    assert "annotated_video" in {each.kind for each in harness.artifacts(job_id)}
    assert get_job(harness.worker.database, job_id).status == "failed"


def test_a_duplicate_message_changes_nothing(harness: Harness, clip: Path) -> None:
    job_id = harness.submit(clip)
    harness.work(job_id)
    before = (harness.files(), harness.artifacts(job_id), get_job(harness.worker.database, job_id))

    for _ in range(3):
        harness.work(job_id)

    after = (harness.files(), harness.artifacts(job_id), get_job(harness.worker.database, job_id))
    assert after[:2] == before[:2]
    assert after[2].status == before[2].status


def test_the_worker_of_the_last_item_finishes_the_job(
    harness: Harness, photo: Path, clip: Path
) -> None:
    job_id = harness.submit(photo, clip)
    first, last = harness.segments(job_id)
    depth = harness.worker.queue.depth()
    process_segment(first, harness.worker)
    assert get_job(harness.worker.database, job_id).status == "running"
    process_segment(last, harness.worker)
    assert get_job(harness.worker.database, job_id).status == "succeeded"
    assert harness.worker.queue.depth() == depth, "finishing the job needs no further message"
