"""One video in segments: its rows and pictures are those of a run in one."""

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
from faces_jobs.worker import encode_runs, link_stage
from faces_jobs.worker.process import process_segment
from faces_jobs.worker.resources import Worker
from tests.clips import (
    GREEN,
    RED,
    Sound,
    Square,
    moving,
    picture,
    write_damaged,
    write_truncated,
    write_video,
)
from tests.integration.workbench import SMALL, Bench, rows, stages

FRAMES = 60


class KilledError(BaseException):
    """As from outside: nobody gets to tidy up."""


class Dying(LocalStorage):
    """A storage whose worker is killed just after it published, before a row speaks of it."""

    def publish(self, *arguments: Any, **named: Any) -> dict[str, StoredFile]:
        super().publish(*arguments, **named)
        raise KilledError


@pytest.fixture
def long_clip(tmp_path: Path) -> Path:
    """A square that crosses, one that leaves in the midst, one that comes, a change of scene."""
    return write_long(tmp_path / "long.mp4")


def write_long(path: Path, frames: int = FRAMES) -> Path:
    pictures = []
    for index in range(frames):
        squares = [Square(2 + index, 4, 14)]
        if index < 33:
            squares.append(Square(80 - index, 40, 14, GREEN))
        if index > 25:
            squares.append(Square(90, 20 + index // 4, 12, RED))
        ground = (96, 96, 96) if index < 47 else (10, 10, 10)
        pictures.append(picture(squares, width=128, height=80, background=ground))
    return write_video(
        path, pictures, codec_options={"g": "8", "bf": "2"}, sounds=[Sound(seconds=frames / 25)]
    )


def in_segments(worker: Worker, seconds: float) -> Worker:
    return replace(worker, settings=worker.settings.model_copy(update={"segment_seconds": seconds}))


def files(bench: Bench, job_id: str) -> dict[str, bytes]:
    return {each.name: bench.path(each).read_bytes() for each in bench.artifacts(job_id)}


def decoded(data: bytes) -> tuple[list[int], list[Any]]:
    with av.open(io.BytesIO(data), "r") as container:
        frames = list(container.decode(video=0))
    return [frame.pts or 0 for frame in frames], [f.to_ndarray(format="bgr24") for f in frames]


def sound(data: bytes) -> list[tuple[int | None, bytes]]:
    with av.open(io.BytesIO(data), "r") as container:
        return [(p.pts, bytes(p)) for p in container.demux(audio=0) if p.size]


def run_all(bench: Bench, job_id: str, *workers: Worker) -> None:
    """Let workers take turns at what is open, until nothing is."""
    for number in range(200):
        opened = [segment_id for segment_id in bench.segments(job_id) if is_open(bench, segment_id)]
        if not opened:
            return
        process_segment(opened[-1 if number % 2 else 0], workers[number % len(workers)])
    raise AssertionError("it does not come to an end")


def is_open(bench: Bench, segment_id: int) -> bool:
    with bench.worker.database.read() as session:
        status = session.scalar(select(SegmentRow.status).where(SegmentRow.id == segment_id))
    return status is not None and not status.ended


def same_as_in_one(bench: Bench, clip: Path, spec: JobSpec = SMALL, seconds: float = 0.6) -> str:
    whole = bench.submit(clip, spec=spec)
    bench.work(whole)
    cut = bench.submit(clip, spec=spec)
    run_all(bench, cut, in_segments(bench.worker, seconds))
    assert rows(bench, cut) == rows(bench, whole)
    assert rows(bench, whole)[0]
    assert stages(bench, whole) == [("uncut", "succeeded")]
    assert [stage for stage, _ in stages(bench, cut)].count("find") >= 3
    assert set(files(bench, cut)) == set(files(bench, whole))
    for one, other in zip(bench.items(cut), bench.items(whole), strict=True):
        assert one.model_copy(update={"id": 0, "progress": None}) == other.model_copy(
            update={"id": 0, "progress": None}
        )
        assert one.progress.frames_done == other.progress.frames_done == FRAMES
    return cut


@pytest.mark.parametrize(
    "fewest", [encode_runs.MIN_FRAMES, 4], ids=["parts in one", "parts in runs"]
)
def test_rows_pictures_and_sound_are_those_of_a_run_in_one(
    bench: Bench, long_clip: Path, monkeypatch: pytest.MonkeyPatch, fewest: int
) -> None:
    monkeypatch.setattr(encode_runs, "MIN_FRAMES", fewest)
    cut = same_as_in_one(bench, long_clip)

    whole = next(job_id for job_id in _jobs(bench) if job_id != cut)
    ours, theirs = files(bench, cut), files(bench, whole)
    assert stages(bench, cut)[-1] == ("bind", "succeeded")
    name = "0-long.annotated.mp4"
    (times, pictures), (times_in_one, pictures_in_one) = decoded(ours[name]), decoded(theirs[name])
    assert times == times_in_one
    assert len(times) == FRAMES
    # Encoded with other key frames, so not equal to the bit; a box of another track would show.
    apart = [
        np.abs(one.astype(int) - other).mean()
        for one, other in zip(pictures, pictures_in_one, strict=True)
    ]
    assert max(apart) < 6
    assert sound(ours[name]) == sound(theirs[name])
    for each in ours:
        if each.endswith(".jpg"):
            assert ours[each] == theirs[each]
    assert {model.name for model in get_job(bench.worker.database, cut).models} >= {"detector"}
    with bench.worker.database.read() as session:
        assert session.scalars(select(SegmentFileRow.name)).all() == []
    assert all(f"/{cut}/" not in path or "bind" not in path for path in bench.files())
    assert len([path for path in bench.files() if cut in path]) == len(ours), "nothing is left"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # options are the pipeline's
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
def test_options_give_the_same_in_segments(
    bench: Bench, long_clip: Path, options: dict[str, Any]
) -> None:
    same_as_in_one(bench, long_clip, SMALL.model_copy(update=options))


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "lost"])
def test_without_a_copy_nothing_is_read_again_for_best_shots(
    bench: Bench, long_clip: Path, monkeypatch: pytest.MonkeyPatch, *, kept: bool
) -> None:
    if not kept:  # as where linking makes one track of what a part took for two
        monkeypatch.setattr(link_stage, "unpack_portraits", lambda *_: False)
    cut = same_as_in_one(bench, long_clip, SMALL.model_copy(update={"annotated": False}))

    whole = next(job_id for job_id in _jobs(bench) if job_id != cut)
    shots = {name: data for name, data in files(bench, whole).items() if name.endswith(".jpg")}
    assert len(shots) >= 3
    assert {name: files(bench, cut)[name] for name in shots} == shots
    assert ("draw" in dict(stages(bench, cut))) != kept
    with bench.worker.database.read() as session:
        assert session.scalars(select(SegmentFileRow.name)).all() == []


@pytest.mark.parametrize("hurt", [[3, 31, 32], [20]], ids=str)
def test_damaged_frames_of_all_segments_are_counted(
    bench: Bench, tmp_path: Path, hurt: list[int]
) -> None:
    drawn = moving(FRAMES, width=320, height=240)
    whole = write_video(tmp_path / "a.mp4", drawn, codec="mpeg4", codec_options={"g": "5"})
    job_id = bench.submit(write_damaged(tmp_path / "b.mp4", whole, hurt, intact=0.5))
    run_all(bench, job_id, in_segments(bench.worker, 0.6))
    (item,) = bench.items(job_id)
    assert (item.status, item.damaged_frames) == ("succeeded", len(hurt))
    assert get_job(bench.worker.database, job_id).damaged_frames == len(hurt)
    found = [stage for stage, _ in stages(bench, job_id)]
    assert found.count("find") > 2, "it was cut"


def test_a_killed_worker_costs_one_segment_of_any_stage(bench: Bench, long_clip: Path) -> None:
    whole = bench.submit(long_clip)
    bench.work(whole)
    cut = bench.submit(long_clip)
    alice = in_segments(bench.worker, 0.6)
    bob = replace(alice, name="bob")
    seen: set[int] = set()

    def die_first(worker: Worker) -> None:
        """Every segment's first attempt ends as by a kill, somewhere in its midst."""
        for _ in range(60):
            opened = [each for each in bench.segments(cut) if is_open(bench, each)]
            if not opened:
                return
            segment_id = opened[0]
            if segment_id not in seen:
                seen.add(segment_id)
                dying = replace(worker, storage=Dying(worker.storage.folder))
                with pytest.raises(KilledError):
                    process_segment(segment_id, dying)
                with bench.worker.database.begin() as session:
                    session.execute(
                        update(SegmentRow)
                        .where(SegmentRow.status == "running")
                        .values(lease_until=now_seconds() - 1)
                    )
                continue
            process_segment(segment_id, bob)

    die_first(alice)
    assert get_job(bench.worker.database, cut).status == "succeeded"
    assert rows(bench, cut) == rows(bench, whole)
    with bench.worker.database.read() as session:
        attempts = session.scalars(
            select(SegmentRow.attempts).where(SegmentRow.job_id == cut)
        ).all()
    assert max(attempts) == 2
    assert {each.name for each in bench.artifacts(cut)} == {
        each.name for each in bench.artifacts(whole)
    }


def test_poison_in_one_segment_leaves_the_others_recorded(bench: Bench, long_clip: Path) -> None:
    job_id = bench.submit(long_clip)
    worker = in_segments(bench.worker, 0.6)
    process_segment(bench.segments(job_id)[0], worker)
    bad = bench.segments(job_id)[1]

    def fail(_batch: int) -> None:
        raise ZeroDivisionError

    bench.networks.before_batch = fail
    for _ in range(worker.settings.max_attempts):
        process_segment(bad, worker)
    bench.networks.before_batch = lambda _batch: None
    run_all(bench, job_id, worker)

    (item,) = bench.items(job_id)
    assert (item.status, item.error and item.error.code) == ("failed", "poison")
    found = {row[0] for row in rows(bench, job_id)[0]}
    assert {0, 1, FRAMES - 1} <= found
    assert len(found) < FRAMES
    (times, _) = decoded(files(bench, job_id)["0-long.annotated.mp4"])
    assert len(times) == len(found)


def test_a_file_that_breaks_off_keeps_what_was_read(bench: Bench, tmp_path: Path) -> None:
    whole = write_long(tmp_path / "whole.mkv")
    cut_short = write_truncated(tmp_path / "cut.mkv", whole, kept=0.8)
    in_one = bench.submit(cut_short)
    bench.work(in_one)
    job_id = bench.submit(cut_short)
    run_all(bench, job_id, in_segments(bench.worker, 0.6))

    assert ("link", "succeeded") in stages(bench, job_id)
    (item,) = bench.items(job_id)
    assert (item.status, item.error and item.error.code) == ("failed", "truncated")
    assert rows(bench, job_id) == rows(bench, in_one)


def test_parts_that_do_not_fit_are_read_in_one(bench: Bench, long_clip: Path) -> None:
    whole = bench.submit(long_clip)
    bench.work(whole)
    job_id = bench.submit(long_clip)
    worker = in_segments(bench.worker, 0.6)
    process_segment(bench.segments(job_id)[0], worker)
    with bench.worker.database.begin() as session:
        row = session.scalars(
            select(SegmentRow).where(SegmentRow.job_id == job_id, SegmentRow.segment_index == 2)
        ).one()
        row.part = {**(row.part or {}), "frames": 3}
        shown = bench.items(job_id)[0].progress.frames_done
    run_all(bench, job_id, worker)

    assert stages(bench, job_id) == [("uncut", "succeeded")]
    assert bench.items(job_id)[0].progress.frames_done >= shown
    assert rows(bench, job_id) == rows(bench, whole)
    assert get_job(bench.worker.database, job_id).status == "succeeded"


def test_a_cancel_ends_all_segments_and_keeps_nothing_of_the_item(
    bench: Bench, long_clip: Path
) -> None:
    job_id = bench.submit(long_clip)
    worker = in_segments(bench.worker, 0.6)
    process_segment(bench.segments(job_id)[0], worker)
    process_segment(bench.segments(job_id)[1], worker)

    cancel_job(bench.worker.database, job_id)
    for segment_id in bench.segments(job_id):
        process_segment(segment_id, worker)

    assert {status for _, status in stages(bench, job_id)} == {"succeeded", "cancelled"}
    assert rows(bench, job_id) == [[], []]
    with bench.worker.database.read() as session:
        assert session.scalars(select(SegmentFileRow.name)).all() == []
        assert session.scalars(select(ModelRow.name)).all() == []


def _jobs(bench: Bench) -> list[str]:
    with bench.worker.database.read() as session:
        return list(session.scalars(select(SegmentRow.job_id).distinct()))
