"""Still images are processed without threads, with the same results as with threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from faces_jobs.jobs.records import FaceRecord, TrackRecord
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.item_stages import ItemStages
from faces_jobs.pipeline.run import run_item, run_overlapping, run_sequentially
from faces_jobs.pipeline.values import Detections, Face, Frame, Picture, RunReport
from tests.clips import moving_squares
from tests.fakes import SquareDetector, analysis


class RecordingSink:
    """A sink that records faces and tracks, and the threads that called it."""

    def __init__(self) -> None:
        self.records: list[FaceRecord] = []
        self.tracks: Sequence[TrackRecord] = ()
        self.threads: set[int] = set()

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:
        assert analysed
        assert frame.index == 0
        self.records += [face.record for face in faces]
        self.threads.add(threading.get_ident())

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        self.tracks = tracks


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """An image of two squares."""
    path = tmp_path / "picture.png"
    Image.fromarray(np.ascontiguousarray(next(iter(moving_squares(1)))[:, :, ::-1])).save(path)
    return path


def both(
    picture: Path, spec: JobSpec
) -> tuple[tuple[RecordingSink, RunReport], tuple[RecordingSink, RunReport]]:
    """Return the sink and the report of a run without threads, and of one with threads."""
    runs: list[Callable[[ItemStages, Callable[[int], None]], None]] = [
        run_sequentially,
        partial(run_overlapping, lanes=1),
    ]
    results = []
    for run in runs:
        sink, done = RecordingSink(), list[int]()
        with open_frames(picture, max_pixels=1_000_000) as reader:
            assert reader.info.is_still
            given = analysis(spec, unsure_below="0.5")
            stages = ItemStages(reader, given, [sink], batch_size=1)
            run(stages, done.append)
            results.append((sink, stages.finish()))
        assert done == [1]
    return results[0], results[1]


@pytest.mark.parametrize(
    "spec",
    [
        JobSpec(smallest_face=4),
        JobSpec(smallest_face=4, gender=False, unsure_below="0.9"),
        JobSpec(smallest_face=4, detect_every="adaptive", classify="auto", frame_stride=5),
        JobSpec(smallest_face=4000),
    ],
)
def test_results_are_the_same_with_and_without_threads(picture: Path, spec: JobSpec) -> None:
    (still, alone), (item, threaded) = both(picture, spec)

    assert still.records == item.records
    assert still.tracks == item.tracks
    timeless: dict[str, Any] = {"stage_seconds": {}, "waiting_seconds": {}}
    assert replace(alone, **timeless) == replace(threaded, **timeless)
    assert (alone.faces > 0) == (spec.smallest_face < 4000)
    assert set(alone.stage_seconds) == set(threaded.stage_seconds)


def test_everything_runs_in_the_calling_thread(picture: Path) -> None:
    threads: set[int] = set()

    class RecordingDetector(SquareDetector):
        def detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
            threads.add(threading.get_ident())
            return super().detect(pictures_bgr)

    sink, done = RecordingSink(), list[tuple[int, int | None]]()
    given = analysis(JobSpec(smallest_face=4), detector=RecordingDetector())
    with open_frames(picture, max_pixels=1_000_000) as reader:
        run_item(
            reader,
            given,
            [sink],
            batch_size=8,
            lanes=2,
            on_progress=lambda frames, total: done.append((frames, total)),
        )
    assert threads == sink.threads == {threading.get_ident()}
    assert done == [(1, 1)]


def test_an_animation_is_not_a_still(tmp_path: Path) -> None:
    path = tmp_path / "moving.gif"
    frames = [Image.fromarray(np.ascontiguousarray(one[:, :, ::-1])) for one in moving_squares(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=40)
    with open_frames(path, max_pixels=1_000_000) as reader:
        assert not reader.info.is_still
