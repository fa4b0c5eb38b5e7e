"""Skipping detections and classifications in a run, and what it changes in the results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faces_jobs.jobs.labels import MODELS
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.run import run_item
from faces_jobs.pipeline.stages.sparse_classification import label_and_margin
from faces_jobs.pipeline.values import Face, Frame, MediaInfo, Picture
from tests import clips
from tests.clips import BLUE, GREEN, RED, Square
from tests.fakes import ColourClassifier, SquareDetector, analysis


class FakeReader:
    """A frame reader over a list of pictures, at 25 frames per second."""

    damaged_frames = 0

    def __init__(self, pictures: Sequence[Picture]) -> None:
        self._pictures = pictures
        height, width = pictures[0].shape[:2]
        self.info = MediaInfo("video", "mov", width, height, None, None, None, False)

    def __iter__(self) -> Iterator[Frame]:
        for index, drawn in enumerate(self._pictures):
            yield Frame(index, index * 40.0, drawn)


class RecordingSink:
    """A sink that records the faces of every frame."""

    def __init__(self) -> None:
        self.faces: list[list[Face]] = []

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:
        assert analysed
        assert frame.index == len(self.faces)
        self.faces.append(list(faces))

    def finish(self, tracks: Sequence[Any]) -> None:
        """Ignore the tracks."""

    def boxes(self) -> list[list[tuple[float, ...]]]:
        return [[face.record.box_xyxy for face in faces] for faces in self.faces]

    def labels(self) -> list[list[tuple[str, ...]]]:
        return [
            [tuple(a.label for a in face.record.attributes.values()) for face in faces]
            for faces in self.faces
        ]


def run(
    pictures: Sequence[Picture], lanes: int = 1, **options: Any
) -> tuple[RecordingSink, SquareDetector, list[ColourClassifier]]:
    rows, detector = RecordingSink(), SquareDetector()
    models = [ColourClassifier(name) for name in MODELS]
    run_item(
        FakeReader(pictures),
        analysis(JobSpec(smallest_face=4, **options), detector=detector, classifiers=models),
        [rows],
        batch_size=4,
        lanes=lanes,
        on_progress=lambda _done, _total: None,
    )
    return rows, detector, models


def walk(count: int, step: int = 1) -> list[Picture]:
    return [clips.picture([Square(2 + step * at, 10, 16)], width=96) for at in range(count)]


@pytest.mark.parametrize(
    ("every", "detected"), [("1", 41), ("2", 21), ("3", 15), ("5", 9), ("10", 5), ("adaptive", 11)]
)
def test_a_moving_face_is_interpolated_between_detections(every: str, detected: int) -> None:
    pictures = walk(41)
    rows, detector, _ = run(pictures, detect_every=every)
    assert detector.pictures_seen == detected
    for actual, expected in zip(rows.boxes(), run(pictures)[0].boxes(), strict=True):
        np.testing.assert_allclose(actual, expected, atol=0.01)
    assert {face.record.track for faces in rows.faces for face in faces} == {1}


@pytest.mark.parametrize("order", [1, -1])
def test_the_adaptive_policy_detects_every_frame_of_a_fast_face(order: int) -> None:
    pictures = walk(12, step=6)[::order]
    rows, detector, _ = run(pictures, detect_every="adaptive")
    assert detector.pictures_seen == 12
    assert rows.boxes() == run(pictures)[0].boxes()


def test_the_adaptive_policy_finds_the_frame_at_which_a_face_comes_or_goes() -> None:
    stays = Square(2, 10, 16)
    comes = Square(50, 20, 14, GREEN)
    pictures = [
        clips.picture([stays, comes] if 5 <= at < 23 else [stays], width=96) for at in range(33)
    ]
    rows, detector, _ = run(pictures, detect_every="adaptive")
    assert detector.pictures_seen < 16
    assert rows.boxes() == run(pictures)[0].boxes()


def test_the_frames_at_a_cut_are_detected() -> None:
    pictures = clips.two_scenes(20)
    rows, _, _ = run(pictures, detect_every="10")
    every, _, _ = run(pictures)
    for at in (0, 9, 10, 19):
        assert rows.boxes()[at] == every.boxes()[at]
    assert [{f.record.track for f in faces} for faces in rows.faces] == [
        {f.record.track for f in faces} for faces in every.faces
    ]


def test_an_unchanged_face_is_not_classified_again() -> None:
    rows, _, models = run(walk(41), classify="auto")
    assert [model.crops_seen for model in models] == [6, 6, 6]
    assert rows.labels() == run(walk(41))[0].labels()


def test_models_find_the_frame_at_which_a_face_changes() -> None:
    pictures = [
        clips.picture([Square(20, 10, 16, RED if at < 11 else BLUE)], width=96) for at in range(41)
    ]
    rows, _, models = run(pictures, classify="auto")
    assert all(6 < model.crops_seen < 12 for model in models)
    assert rows.labels() == run(pictures)[0].labels()


def test_opinions_are_interpolated_within_one_face_only() -> None:
    pictures = [
        clips.picture(
            [Square(4, 10, 16, RED), Square(30, 12, 16, GREEN), Square(60, 12, 16, BLUE)][: at % 4],
            width=96,
        )
        for at in range(32)
    ]
    rows, _, _ = run(pictures, classify="auto")
    every, _, _ = run(pictures)
    assert rows.labels() == every.labels()
    for faces, others in zip(rows.faces, every.faces, strict=True):
        for face, other in zip(faces, others, strict=True):
            for head, probabilities in face.opinion.items():
                np.testing.assert_allclose(probabilities, other.opinion[head], atol=1e-6)


come_and_go = st.lists(
    st.lists(
        st.tuples(st.integers(0, 76), st.integers(0, 40), st.sampled_from([RED, GREEN, BLUE])),
        max_size=3,
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=25, deadline=None)
@given(
    drawn=come_and_go,
    every=st.sampled_from(["2", "4", "adaptive"]),
    classify=st.sampled_from(["every", "auto"]),
)
def test_results_do_not_depend_on_threads_and_every_face_has_an_opinion(
    drawn: list[list[tuple[int, int, Any]]], every: str, classify: str
) -> None:
    pictures = [
        clips.picture([Square(left, top, 14, colour) for left, top, colour in squares], width=96)
        for squares in drawn
    ]
    rows, detector, models = run(pictures, detect_every=every, classify=classify)
    other, _, _ = run(pictures, lanes=3, detect_every=every, classify=classify)
    assert rows.boxes() == other.boxes()
    assert rows.labels() == other.labels()
    assert detector.pictures_seen <= len(pictures)
    faces = [face for of_frame in rows.faces for face in of_frame]
    for face in faces:
        assert len(face.opinion) == 7
        assert all(abs(float(p.sum()) - 1) < 1e-5 for p in face.opinion.values())
    assert all(model.crops_seen <= len(faces) for model in models)


@pytest.mark.parametrize(
    ("probabilities", "threshold", "label", "margin"),
    [
        ((0.7, 0.2, 0.1), 0.0, 0, 0.5),
        ((0.3, 0.5, 0.2), 0.4, 1, 0.1),
        ((0.3, 0.5, 0.2), 0.6, -1, 0.1),
        ((0.9, 0.1), 0.9, 0, 0.0),
    ],
)
def test_the_margin_is_the_distance_to_another_label_or_to_unsure(
    probabilities: tuple[float, ...], threshold: float, label: int, margin: float
) -> None:
    result = label_and_margin(np.array(probabilities), threshold)
    assert result[0] == label
    assert result[1] == pytest.approx(margin)
