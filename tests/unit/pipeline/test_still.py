"""A still picture without threads gives what it gives with them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from faces_jobs.jobs.labels import MODELS
from faces_jobs.jobs.records import FaceRecord, TrackRecord
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.run import run_item
from faces_jobs.pipeline.still import run_still
from faces_jobs.pipeline.tracking import OverlapTracker
from faces_jobs.pipeline.values import Face, Frame, RunReport
from tests.clips import moving
from tests.fakes import ColourClassifier, SquareDetector


class Told:
    """A sink that remembers faces and tracks, and who told it."""

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
    """A photograph of two squares."""
    path = tmp_path / "picture.png"
    Image.fromarray(np.ascontiguousarray(next(iter(moving(1)))[:, :, ::-1])).save(path)
    return path


def both(picture: Path, spec: JobSpec) -> tuple[tuple[Told, RunReport], tuple[Told, RunReport]]:
    """What the sinks are told, and the report: without threads, and with them."""
    stages: dict[str, Any] = {
        "classifiers": [ColourClassifier(name) for name in MODELS],
        "spec": spec,
        "unsure_below": "0.5",
    }
    still, item = Told(), Told()
    with open_frames(picture, max_pixels=1_000_000) as reader:
        assert reader.info.is_still
        alone = run_still(
            reader,
            detector=SquareDetector(),
            tracker=OverlapTracker(),
            sinks=[still],
            **stages,
        )
    with open_frames(picture, max_pixels=1_000_000) as reader:
        threaded = run_item(
            reader,
            detector=SquareDetector(),
            tracker=OverlapTracker(),
            sinks=[item],
            batch_size=1,
            on_progress=lambda _done, _total: None,
            **stages,
        )
    return (still, alone), (item, threaded)


@pytest.mark.parametrize(
    "spec",
    [
        JobSpec(smallest_face=4),
        JobSpec(smallest_face=4, gender=False, unsure_below="0.9"),
        JobSpec(smallest_face=4, detect_every="adaptive", classify="auto", frame_stride=5),
        JobSpec(smallest_face=4000),
    ],
)
def test_it_finds_what_the_pipeline_finds(picture: Path, spec: JobSpec) -> None:
    (still, alone), (item, threaded) = both(picture, spec)

    assert still.records == item.records
    assert still.tracks == item.tracks
    timeless: dict[str, Any] = {"stage_seconds": {}, "waiting_seconds": {}}
    assert replace(alone, **timeless) == replace(threaded, **timeless)
    assert (alone.faces > 0) == (spec.smallest_face < 4000)
    assert set(alone.stage_seconds) == set(threaded.stage_seconds)


def test_all_of_it_is_done_by_the_thread_that_asks(picture: Path) -> None:
    (still, _), _ = both(picture, JobSpec(smallest_face=4))
    assert still.threads == {threading.get_ident()}


def test_an_animation_is_none(tmp_path: Path) -> None:
    path = tmp_path / "moving.gif"
    frames = [Image.fromarray(np.ascontiguousarray(one[:, :, ::-1])) for one in moving(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=40)
    with open_frames(path, max_pixels=1_000_000) as reader:
        assert not reader.info.is_still
