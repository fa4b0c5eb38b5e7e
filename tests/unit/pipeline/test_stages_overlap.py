"""Overlapping stages: identical results, bounded memory, and every error is raised."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from faces_jobs.errors import MediaError, TruncatedError
from faces_jobs.jobs.labels import MODELS
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.values import (
    Detections,
    Face,
    Frame,
    LazyPicture,
    Opinion,
)
from faces_jobs.pipeline.voting import best_labels
from faces_jobs_models.catalog import open_catalog
from tests import clips
from tests.clips import GREEN, Picture, Square
from tests.fakes import ColourClassifier
from tests.unit.pipeline.given import FakeReader, RecordingSink, run, running_threads


def squares_come_and_go(count: int) -> Iterator[Picture]:
    for index in range(count):
        shown = [Square(2 + index, 4, 12), Square(70, 40, 16, GREEN), Square(10, 40, 14)]
        yield clips.picture(shown[: index % 4], width=96, height=64)


def astronauts_come_and_go(count: int) -> Iterator[Picture]:
    face = np.ascontiguousarray(astronaut()[20:220, 130:330, ::-1])  # type: ignore[no-untyped-call] # ships no types
    for index in range(count):
        drawn = np.full((160, 480, 3), 90, np.uint8)
        for place in range((index // 3) % 4):
            side = 100 + 8 * place + index
            left = 10 + 155 * place
            drawn[4 : 4 + side, left : left + side] = cv2.resize(face, (side, side))
        yield drawn


def test_results_are_identical_for_each_batch_size_and_number_of_lanes() -> None:
    results: list[tuple[list[Any], Any]] = []
    with open_catalog(device="cpu") as catalog:
        for batch_size in (1, 8, 32):
            for lanes in (1, 2):
                rows = RecordingSink()
                report = run(
                    FakeReader(astronauts_come_and_go(24), 480, 160, {}),
                    rows,
                    lanes=lanes,
                    batch_size=batch_size,
                    detector=catalog.detector(),
                    classifiers=catalog.classifiers(list(MODELS)),
                    spec=JobSpec(),
                )
                results.append((rows.rows, rows.tracks))
                assert report.frames_analysed == 24
    assert len({row[0].frame_index for row in results[0][0]}) > 12
    assert len({row[0].face_index for row in results[0][0]}) == 3, "the number of faces varies"
    assert all(other == results[0] for other in results[1:])


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_file_truncated_within_a_batch_keeps_the_frames_before(lanes: int) -> None:
    rows = RecordingSink()
    reader = FakeReader(squares_come_and_go(20), 96, 64, {10: TruncatedError("it is cut off")})
    report = run(reader, rows, lanes=lanes)
    assert rows.frames == list(range(10))
    assert isinstance(report.truncated, TruncatedError)
    assert rows.tracks is not None
    with pytest.raises(TruncatedError):
        run(
            FakeReader(squares_come_and_go(20), 96, 64, {0: TruncatedError("empty")}),
            RecordingSink(),
            lanes=1,
        )
    with pytest.raises(MediaError):
        run(
            FakeReader(squares_come_and_go(9), 96, 64, {5: MediaError("unreadable")}),
            RecordingSink(),
            lanes=1,
        )
    assert running_threads() == []


def test_pictures_are_only_converted_if_they_are_used() -> None:
    converted: list[int] = []

    class LazyReader(FakeReader):
        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                yield replace(frame, picture=LazyPicture(partial(self._convert, frame)))

        def _convert(self, frame: Frame) -> Picture:
            converted.append(frame.index)
            return frame.picture_bgr

    rows = RecordingSink()
    spec = JobSpec(smallest_face=4, frame_stride=5)
    run(LazyReader(squares_come_and_go(20), 96, 64, {}), rows, lanes=2, spec=spec)
    assert rows.frames == list(range(20))
    assert sorted(converted) == [0, 5, 10, 15], "once each"


class LivePictures:
    """Counts the pictures that are still referenced."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = self.peak = 0

    def track(self, picture: Picture) -> Picture:
        with self._lock:
            self._count += 1
            self.peak = max(self.peak, self._count)
        weakref.finalize(picture, self._forget)
        return picture

    def _forget(self) -> None:
        with self._lock:
            self._count -= 1


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize(
    ("width", "height", "frames_per_batch"), [(3840, 2160, 1), (1280, 720, 8), (64, 48, 8)]
)
def test_frames_in_memory_are_bounded_by_their_size(
    width: int, height: int, frames_per_batch: int, lanes: int
) -> None:
    class NoFaces:
        def detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
            assert len(pictures_bgr) <= frames_per_batch
            return [Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))] * len(
                pictures_bgr
            )

    class SlowSink(RecordingSink):
        def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:
            threading.Event().wait(0.001)  # let the other threads run ahead as far as they can
            super().add(frame, faces, analysed=analysed)

    live, rows = LivePictures(), SlowSink()
    # Untouched zero pages take no memory, so these pictures can be as large as real ones.
    pictures = (live.track(np.zeros((height, width, 3), np.uint8)) for _ in range(80))
    run(
        FakeReader(pictures, width, height, {}), rows, lanes=lanes, batch_size=8, detector=NoFaces()
    )
    assert len(rows.frames) == 80
    # Those in the lanes, one batch before and one after them, one that waits in `put`.
    assert live.peak <= (lanes + 3) * frames_per_batch + 1


def test_crops_in_memory_are_bounded_however_many_faces_there_are() -> None:
    class Crowd:
        def detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
            places = np.array([(x, y) for x in range(25) for y in range(20)], np.float32) * 8
            boxes = np.concatenate([places, places + 8], axis=1)
            found = Detections(boxes, np.full(len(boxes), 0.9, np.float32))
            return [found] * len(pictures_bgr)

    class CountingClassifier(ColourClassifier):
        def classify(self, crops_bgr: Sequence[Picture]) -> list[Opinion]:
            sizes.append(len(crops_bgr))
            return super().classify(crops_bgr)

    sizes: list[int] = []
    rows = RecordingSink()
    report = run(
        FakeReader(iter([np.full((160, 200, 3), 50, np.uint8)] * 4), 200, 160, {}),
        rows,
        lanes=2,
        detector=Crowd(),
        classifiers=[CountingClassifier("gender")],
    )
    assert report.faces == sum(sizes) == 2000
    assert max(sizes) <= 256
    record, _, _, opinion, _ = rows.rows[-1]
    assert record.attributes == best_labels(
        {head: np.frombuffer(p, np.float32) for head, p in opinion.items()}, {}
    )
