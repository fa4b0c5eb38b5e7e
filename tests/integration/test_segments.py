"""A video that is processed in parts: its rows, frames and sound are those of a whole run."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from sqlalchemy import select, update

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.tables import ModelRow, SegmentFileRow, SegmentRow
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.results import cancel_job, get_job
from faces_jobs.storage import LocalStorage, StoredFile
from faces_jobs.worker.linking_state import LinkingStateCache
from faces_jobs.worker.process import process_segment
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.stages import encode_runs
from faces_jobs.worker.stages import find as find_stage
from faces_jobs.worker.stages import link as link_stage
from tests.clips import (
    GREEN,
    RED,
    Sound,
    Square,
    moving_squares,
    picture,
    write_damaged,
    write_truncated,
    write_video,
)
from tests.integration.harness import SMALL_FACES, Harness, rows, stages

FRAMES = 60

# For what is in frames and files: the other tests run the same statements on both databases.
on_one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class KilledError(BaseException):
    """Ends a worker like SIGKILL: no `except Exception` cleans up."""


class KillingStorage(LocalStorage):
    """A storage that kills its worker just after publishing, before a row refers to the files."""

    def publish(self, *arguments: Any, **named: Any) -> dict[str, StoredFile]:
        super().publish(*arguments, **named)
        raise KilledError


@pytest.fixture
def long_clip(tmp_path: Path) -> Path:
    """A square that crosses, one that leaves midway, one that appears, and a change of scene."""
    return write_long(tmp_path / "long.mp4")


def write_long(path: Path, frames: int = FRAMES) -> Path:
    pictures = []
    for index in range(frames):
        squares = [Square(2 + index, 4, 14)]
        if index < 33:
            squares.append(Square(80 - index, 40, 14, GREEN))
        if index > 25:
            squares.append(Square(90, 20 + index // 4, 12, RED))
        background = (96, 96, 96) if index < 47 else (10, 10, 10)
        pictures.append(picture(squares, width=128, height=80, background=background))
    return write_video(
        path, pictures, codec_options={"g": "8", "bf": "2"}, sounds=[Sound(seconds=frames / 25)]
    )


def in_parts(worker: Worker, seconds: float) -> Worker:
    return replace(worker, settings=worker.settings.model_copy(update={"segment_seconds": seconds}))


def artifact_contents(harness: Harness, job_id: str) -> dict[str, bytes]:
    """Return the content of every artifact of a job, by name."""
    return {each.name: harness.path(each).read_bytes() for each in harness.artifacts(job_id)}


def decode(data: bytes) -> tuple[list[int], list[Any]]:
    """Return the times and the frames of a video."""
    with av.open(io.BytesIO(data), "r") as container:
        frames = list(container.decode(video=0))
    return [frame.pts or 0 for frame in frames], [f.to_ndarray(format="bgr24") for f in frames]


def sound_packets(data: bytes) -> list[tuple[int | None, bytes]]:
    """Return the time and the content of each sound packet of a video."""
    with av.open(io.BytesIO(data), "r") as container:
        return [(p.pts, bytes(p)) for p in container.demux(audio=0) if p.size]


def run_all(harness: Harness, job_id: str, *workers: Worker) -> None:
    """Let workers take turns at unfinished segments until none is left."""
    for number in range(200):
        unfinished = [each for each in harness.segments(job_id) if is_unfinished(harness, each)]
        if not unfinished:
            return
        process_segment(unfinished[-1 if number % 2 else 0], workers[number % len(workers)])
    raise AssertionError("the job did not end after 200 segments")


def is_unfinished(harness: Harness, segment_id: int) -> bool:
    with harness.worker.database.read() as session:
        status = session.scalar(select(SegmentRow.status).where(SegmentRow.id == segment_id))
    return status is not None and not status.ended


def check_same_as_whole(
    harness: Harness, clip: Path, spec: JobSpec = SMALL_FACES, seconds: float = 0.6
) -> str:
    """Process a clip whole and in parts, compare both, and return the id of the job in parts."""
    whole = harness.submit(clip, spec=spec)
    harness.work(whole)
    cut = harness.submit(clip, spec=spec)
    run_all(harness, cut, in_parts(harness.worker, seconds))
    assert rows(harness, cut) == rows(harness, whole)
    assert rows(harness, whole)[0]
    assert stages(harness, whole) == [("uncut", "succeeded")]
    assert [stage for stage, _ in stages(harness, cut)].count("find") >= 3
    assert set(artifact_contents(harness, cut)) == set(artifact_contents(harness, whole))
    for one, other in zip(harness.items(cut), harness.items(whole), strict=True):
        assert one.model_copy(update={"id": 0, "progress": None}) == other.model_copy(
            update={"id": 0, "progress": None}
        )
        assert one.progress.frames_done == other.progress.frames_done == FRAMES
    return cut


@pytest.mark.parametrize(
    "min_frames", [encode_runs.MIN_FRAMES, 4], ids=["parts in one run", "parts in several runs"]
)
def test_rows_frames_and_sound_are_those_of_a_whole_run(
    harness: Harness, long_clip: Path, monkeypatch: pytest.MonkeyPatch, min_frames: int
) -> None:
    monkeypatch.setattr(encode_runs, "MIN_FRAMES", min_frames)
    cut = check_same_as_whole(harness, long_clip)

    whole = next(job_id for job_id in _jobs(harness) if job_id != cut)
    ours, theirs = artifact_contents(harness, cut), artifact_contents(harness, whole)
    assert stages(harness, cut)[-1] == ("bind", "succeeded")
    name = "0-long.annotated.mp4"
    (times, pictures), (whole_times, whole_pictures) = decode(ours[name]), decode(theirs[name])
    assert times == whole_times
    assert len(times) == FRAMES
    # Other key frames make small differences; a wrong track's box would make a large one.
    differences = [
        np.abs(one.astype(int) - other).mean()
        for one, other in zip(pictures, whole_pictures, strict=True)
    ]
    assert max(differences) < 6
    assert sound_packets(ours[name]) == sound_packets(theirs[name])
    for each in ours:
        if each.endswith(".jpg"):
            assert ours[each] == theirs[each]
    assert {model.name for model in get_job(harness.worker.database, cut).models} >= {"detector"}
    with harness.worker.database.read() as session:
        assert session.scalars(select(SegmentFileRow.name)).all() == []
    assert all(f"/{cut}/" not in path or "bind" not in path for path in harness.files())
    assert len([path for path in harness.files() if cut in path]) == len(ours), (
        "no intermediate file is left"
    )


@on_one_database
@pytest.mark.parametrize(
    "options",
    [
        {"frame_stride": 3},
        {"max_fps": 7.0},
        {"frame_stride": 2, "max_fps": 11.0, "annotated": False},
        {"annotated": False, "expression": False, "multiple": False},
        {"frame_stride": 2, "detect_every": "adaptive", "classify": "auto"},
    ],
)
def test_options_give_the_same_results_in_parts(
    harness: Harness, long_clip: Path, options: dict[str, Any]
) -> None:
    check_same_as_whole(harness, long_clip, SMALL_FACES.model_copy(update=options))


@on_one_database
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "lost"])
def test_best_shots_need_no_second_pass_without_an_annotated_copy(
    harness: Harness, long_clip: Path, monkeypatch: pytest.MonkeyPatch, *, kept: bool
) -> None:
    if not kept:  # as if linking had merged two tracks of a part into one
        monkeypatch.setattr(link_stage, "unpack_portraits", lambda *_: False)
    cut = check_same_as_whole(
        harness, long_clip, SMALL_FACES.model_copy(update={"annotated": False})
    )

    whole = next(job_id for job_id in _jobs(harness) if job_id != cut)
    shots = {
        name: data
        for name, data in artifact_contents(harness, whole).items()
        if name.endswith(".jpg")
    }
    assert len(shots) >= 3
    assert {name: artifact_contents(harness, cut)[name] for name in shots} == shots
    assert ("draw" in dict(stages(harness, cut))) != kept
    with harness.worker.database.read() as session:
        assert session.scalars(select(SegmentFileRow.name)).all() == []


@on_one_database
@pytest.mark.parametrize("damaged", [[3, 31, 32], [20]], ids=str)
def test_damaged_frames_of_all_parts_are_counted(
    harness: Harness, tmp_path: Path, damaged: list[int]
) -> None:
    drawn = moving_squares(FRAMES, width=320, height=240)
    whole = write_video(tmp_path / "a.mp4", drawn, codec="mpeg4", codec_options={"g": "5"})
    job_id = harness.submit(write_damaged(tmp_path / "b.mp4", whole, damaged, intact=0.5))
    run_all(harness, job_id, in_parts(harness.worker, 0.6))
    (item,) = harness.items(job_id)
    assert (item.status, item.damaged_frames) == ("succeeded", len(damaged))
    assert get_job(harness.worker.database, job_id).damaged_frames == len(damaged)
    found = [stage for stage, _ in stages(harness, job_id)]
    assert found.count("find") > 2, "the video was cut"


def test_a_killed_worker_costs_one_attempt_in_any_stage(harness: Harness, long_clip: Path) -> None:
    whole = harness.submit(long_clip)
    harness.work(whole)
    cut = harness.submit(long_clip)
    alice = in_parts(harness.worker, 0.6)
    bob = replace(alice, name="bob")
    seen: set[int] = set()

    def kill_first_attempts(worker: Worker) -> None:
        """Kill the worker in every segment's first attempt, just after it published."""
        for _ in range(60):
            unfinished = [each for each in harness.segments(cut) if is_unfinished(harness, each)]
            if not unfinished:
                return
            segment_id = unfinished[0]
            if segment_id not in seen:
                seen.add(segment_id)
                dying = replace(worker, storage=KillingStorage(worker.storage.folder))
                with pytest.raises(KilledError):
                    process_segment(segment_id, dying)
                with harness.worker.database.begin() as session:
                    session.execute(
                        update(SegmentRow)
                        .where(SegmentRow.status == "running")
                        .values(lease_until=now_seconds() - 1)
                    )
                continue
            process_segment(segment_id, bob)

    kill_first_attempts(alice)
    assert get_job(harness.worker.database, cut).status == "succeeded"
    assert rows(harness, cut) == rows(harness, whole)
    with harness.worker.database.read() as session:
        attempts = session.scalars(
            select(SegmentRow.attempts).where(SegmentRow.job_id == cut)
        ).all()
    assert max(attempts) == 2
    assert {each.name for each in harness.artifacts(cut)} == {
        each.name for each in harness.artifacts(whole)
    }


def test_a_segment_that_is_given_up_does_not_discard_the_others(
    harness: Harness, long_clip: Path
) -> None:
    job_id = harness.submit(long_clip)
    worker = in_parts(harness.worker, 0.6)
    process_segment(harness.segments(job_id)[0], worker)
    bad = harness.segments(job_id)[1]

    def fail(_batch: int) -> None:
        raise ZeroDivisionError

    harness.networks.before_batch = fail
    for _ in range(worker.settings.max_attempts):
        process_segment(bad, worker)
    harness.networks.before_batch = lambda _batch: None
    run_all(harness, job_id, worker)

    (item,) = harness.items(job_id)
    assert (item.status, item.error and item.error.code) == ("failed", "poison")
    found = {row[0] for row in rows(harness, job_id)[0]}
    assert {0, 1, FRAMES - 1} <= found
    assert len(found) < FRAMES
    (times, _) = decode(artifact_contents(harness, job_id)["0-long.annotated.mp4"])
    assert len(times) == len(found)


@pytest.mark.parametrize("is_linked_ahead", [True, False])
def test_a_video_that_can_t_be_linked_keeps_no_faces(
    harness: Harness, long_clip: Path, monkeypatch: pytest.MonkeyPatch, is_linked_ahead: bool
) -> None:
    def fail(*_: Any) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(link_stage, "finish_link", fail)
    if not is_linked_ahead:
        monkeypatch.setattr(find_stage, "linking_ahead", lambda *_: None)
    job_id = harness.submit(long_clip)
    run_all(harness, job_id, in_parts(harness.worker, 0.6))

    (item,) = harness.items(job_id)
    assert ("link", "failed") in stages(harness, job_id)
    assert (item.status, item.error and item.error.code) == ("failed", "poison")
    assert (item.face_count, rows(harness, job_id)[0]) == (0, [])


def test_a_truncated_file_keeps_what_was_read(harness: Harness, tmp_path: Path) -> None:
    whole = write_long(tmp_path / "whole.mkv")
    cut_short = write_truncated(tmp_path / "cut.mkv", whole, kept=0.8)
    whole_run = harness.submit(cut_short)
    harness.work(whole_run)
    job_id = harness.submit(cut_short)
    run_all(harness, job_id, in_parts(harness.worker, 0.6))

    assert ("link", "succeeded") in stages(harness, job_id)
    (item,) = harness.items(job_id)
    assert (item.status, item.error and item.error.code) == ("failed", "truncated")
    assert rows(harness, job_id) == rows(harness, whole_run)


def test_parts_that_do_not_match_are_processed_as_a_whole(
    harness: Harness, long_clip: Path
) -> None:
    whole = harness.submit(long_clip)
    harness.work(whole)
    job_id = harness.submit(long_clip)
    worker = in_parts(harness.worker, 0.6)
    process_segment(harness.segments(job_id)[0], worker)
    with harness.worker.database.begin() as session:
        row = session.scalars(
            select(SegmentRow).where(SegmentRow.job_id == job_id, SegmentRow.segment_index == 2)
        ).one()
        row.part = {**(row.part or {}), "frames": 3}
    found = harness.items(job_id)[0].progress.frames_done
    process_segment(harness.segments(job_id)[2], worker)
    assert stages(harness, job_id) == [("uncut", "queued")]
    assert harness.items(job_id)[0].progress.frames_done >= found > 0
    run_all(harness, job_id, worker)

    assert stages(harness, job_id) == [("uncut", "succeeded")]
    assert rows(harness, job_id) == rows(harness, whole)
    assert get_job(harness.worker.database, job_id).status == "succeeded"


@on_one_database
def test_parts_found_before_and_after_an_upgrade_of_a_network_are_not_mixed(
    harness: Harness, long_clip: Path
) -> None:
    job_id = harness.submit(long_clip)
    before = in_parts(harness.worker, 0.6)
    for number in range(3):
        process_segment(harness.segments(job_id)[number], before)
    harness.networks.detector_version = "squares-2"
    run_all(harness, job_id, replace(before, linking_state=LinkingStateCache()))

    assert stages(harness, job_id) == [("uncut", "succeeded")]
    with harness.worker.database.read() as session:
        versions = session.scalars(select(ModelRow.version).where(ModelRow.name == "detector"))
        assert versions.all() == ["squares-2"]


def test_a_cancel_ends_all_segments_and_keeps_no_results(harness: Harness, long_clip: Path) -> None:
    job_id = harness.submit(long_clip)
    worker = in_parts(harness.worker, 0.6)
    process_segment(harness.segments(job_id)[0], worker)
    process_segment(harness.segments(job_id)[1], worker)

    cancel_job(harness.worker.database, job_id)
    for segment_id in harness.segments(job_id):
        process_segment(segment_id, worker)

    assert {status for _, status in stages(harness, job_id)} == {"succeeded", "cancelled"}
    assert rows(harness, job_id) == [[], []]
    with harness.worker.database.read() as session:
        assert session.scalars(select(SegmentFileRow.name)).all() == []
        assert session.scalars(select(ModelRow.name)).all() == []


def _jobs(harness: Harness) -> list[str]:
    with harness.worker.database.read() as session:
        return list(session.scalars(select(SegmentRow.job_id).distinct()))
