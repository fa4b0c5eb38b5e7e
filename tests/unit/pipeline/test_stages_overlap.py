"""However the stages of a run overlap: the same results, bounded memory, each error told."""

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
from tests.unit.pipeline.given import Given, Rows, run, threads_left


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


def test_rows_are_the_same_to_the_bit_for_each_size_of_batch_and_number_of_lanes() -> None:
    told: list[tuple[list[Any], Any]] = []
    with open_catalog(device="cpu") as catalog:
        for batch_size in (1, 8, 32):
            for lanes in (1, 2):
                rows = Rows()
                report = run(
                    Given(astronauts_come_and_go(24), 480, 160, {}),
                    rows,
                    lanes=lanes,
                    batch_size=batch_size,
                    detector=catalog.detector(),
                    classifiers=catalog.classifiers(list(MODELS)),
                    spec=JobSpec(),
                )
                told.append((rows.rows, rows.tracks))
                assert report.frames_analysed == 24
    assert len({row[0].frame_index for row in told[0][0]}) > 12
    assert len({row[0].face_index for row in told[0][0]}) == 3, "their number varies"
    assert all(other == told[0] for other in told[1:])


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_file_that_breaks_off_in_the_midst_of_a_batch_keeps_what_came_before(lanes: int) -> None:
    rows = Rows()
    reader = Given(squares_come_and_go(20), 96, 64, {10: TruncatedError("it breaks off")})
    report = run(reader, rows, lanes=lanes)
    assert rows.frames == list(range(10))
    assert isinstance(report.truncated, TruncatedError)
    assert rows.tracks is not None
    with pytest.raises(TruncatedError):
        run(Given(squares_come_and_go(20), 96, 64, {0: TruncatedError("empty")}), Rows(), lanes=1)
    with pytest.raises(MediaError):
        run(Given(squares_come_and_go(9), 96, 64, {5: MediaError("unreadable")}), Rows(), lanes=1)
    assert threads_left() == []


def test_pictures_that_nobody_looks_at_are_not_made() -> None:
    made: list[int] = []

    class Late(Given):
        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                yield replace(frame, picture=LazyPicture(partial(self._make, frame)))

        def _make(self, frame: Frame) -> Picture:
            made.append(frame.index)
            return frame.picture_bgr

    rows = Rows()
    spec = JobSpec(smallest_face=4, frame_stride=5)
    run(Late(squares_come_and_go(20), 96, 64, {}), rows, lanes=2, spec=spec)
    assert rows.frames == list(range(20))
    assert sorted(made) == [0, 5, 10, 15], "each once"


class Alive:
    """Counts pictures that somebody still holds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = self.most = 0

    def made(self, picture: Picture) -> Picture:
        with self._lock:
            self._count += 1
            self.most = max(self.most, self._count)
        weakref.finalize(picture, self._gone)
        return picture

    def _gone(self) -> None:
        with self._lock:
            self._count -= 1


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize(
    ("width", "height", "frames_per_batch"), [(3840, 2160, 1), (1280, 720, 8), (64, 48, 8)]
)
def test_frames_that_are_held_are_bounded_by_their_bytes(
    width: int, height: int, frames_per_batch: int, lanes: int
) -> None:
    class Nothing:
        def detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
            assert len(pictures_bgr) <= frames_per_batch
            return [Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))] * len(
                pictures_bgr
            )

    class Dawdles(Rows):
        def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:
            threading.Event().wait(0.001)  # the others run ahead as far as they may
            super().add(frame, faces, analysed=analysed)

    alive, rows = Alive(), Dawdles()
    # Memory that nobody writes to costs none: these are as large as real ones, and free.
    pictures = (alive.made(np.zeros((height, width, 3), np.uint8)) for _ in range(80))
    run(Given(pictures, width, height, {}), rows, lanes=lanes, batch_size=8, detector=Nothing())
    assert len(rows.frames) == 80
    # Those in the lanes, one batch before and one behind them, one that waits to be put.
    assert alive.most <= (lanes + 3) * frames_per_batch + 1


def test_crops_that_are_held_are_bounded_however_many_faces_there_are() -> None:
    class Crowd:
        def detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
            places = np.array([(x, y) for x in range(25) for y in range(20)], np.float32) * 8
            boxes = np.concatenate([places, places + 8], axis=1)
            found = Detections(boxes, np.full(len(boxes), 0.9, np.float32))
            return [found] * len(pictures_bgr)

    class Counts(ColourClassifier):
        def classify(self, crops_bgr: Sequence[Picture]) -> list[Opinion]:
            sizes.append(len(crops_bgr))
            return super().classify(crops_bgr)

    sizes: list[int] = []
    rows = Rows()
    report = run(
        Given(iter([np.full((160, 200, 3), 50, np.uint8)] * 4), 200, 160, {}),
        rows,
        lanes=2,
        detector=Crowd(),
        classifiers=[Counts("gender")],
    )
    assert report.faces == sum(sizes) == 2000
    assert max(sizes) <= 256
    record, _, _, opinion, _ = rows.rows[-1]
    assert record.attributes == best_labels(
        {head: np.frombuffer(p, np.float32) for head, p in opinion.items()}
    )
