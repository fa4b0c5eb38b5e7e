"""Drawing of boxes and labels, for any picture size and any box."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.jobs.labels import HEADS, UNSURE
from faces_jobs.jobs.records import Attribute, BoxXyxy, FaceRecord
from faces_jobs.pipeline.values import Face
from faces_jobs.sinks.drawing import TEXT_BGR, DrawingSizes, draw_faces, label_lines, track_colour

LABELS = {head: Attribute(labels[0], 0.9) for head, labels in HEADS.items()}


def make_face(box: BoxXyxy, track: int = 1) -> Face:
    record = FaceRecord(0, 0.0, 0, track, box, 0.9, LABELS)
    return Face(record, opinion={}, settled=LABELS)


@given(
    width=st.integers(1, 400),
    height=st.integers(1, 400),
    box=st.tuples(*[st.floats(0, 1)] * 4),
)
def test_any_box_in_any_picture_is_drawn(
    width: int, height: int, box: tuple[float, float, float, float]
) -> None:
    left, right = sorted((box[0] * width, box[2] * width))
    top, bottom = sorted((box[1] * height, box[3] * height))
    picture = np.full((height, width, 3), 90, np.uint8)
    drawn = draw_faces(picture, [make_face((left, top, right, bottom))])
    assert drawn.shape == picture.shape
    assert (picture == 90).all(), "the frame itself is not modified"


@pytest.mark.parametrize(("width", "height"), [(640, 360), (1920, 1080), (3840, 2160)])
def test_text_scales_with_the_picture(width: int, height: int) -> None:
    sizes = DrawingSizes.of(width, height)
    assert sizes.text_height == pytest.approx(height / 36, abs=0.5)
    picture = np.zeros((height, width, 3), np.uint8)
    box = (width * 0.1, height * 0.2, width * 0.2, height * 0.5)
    drawn = draw_faces(picture, [make_face(box)])
    assert (drawn[round(height * 0.2) : round(height * 0.5), round(width * 0.21) :] == 255).any()


def test_panels_cover_neither_each_other_nor_faces() -> None:
    picture = np.zeros((720, 1280, 3), np.uint8)
    alone = draw_faces(picture, [make_face((500, 200, 600, 330))])
    beside_another = draw_faces(
        picture, [make_face((500, 200, 600, 330)), make_face((640, 200, 740, 330), track=2)]
    )
    assert alone[210:320, 620:700].any(), "the panel of a single face is on its right"
    assert not beside_another[250:300, 660:720].any(), "no panel covers the second face"


def test_small_faces_in_a_crowd_have_shorter_labels() -> None:
    picture = np.zeros((720, 1280, 3), np.uint8)
    few = [make_face((60 + 400 * n, 300, 90 + 400 * n, 335), track=n) for n in range(3)]
    many = [make_face((60 + 200 * n, 300, 90 + 200 * n, 335), track=n) for n in range(6)]
    written = [(draw_faces(picture, faces) == 255).all(axis=2).sum() for faces in (few, many)]
    assert written[1] < written[0], "six shortened labels have less text than three complete ones"


def test_labels_of_small_faces_leave_the_others_of_a_photograph_visible() -> None:
    photograph = np.zeros((3000, 4000, 3), np.uint8)
    # Three rows of ten faces, 100 pixels high, with a neighbour's distance between two.
    boxes = [(x, y, x + 80, y + 100) for y in (800, 1200, 1600) for x in range(600, 3400, 280)]
    faces = [make_face(box, track) for track, box in enumerate(boxes, 1)]
    drawn = draw_faces(photograph, faces, is_still=True)
    inside = [drawn[y + 12 : y + 88, x + 12 : x + 68] for x, y, *_ in boxes]
    assert not any(pixels.any() for pixels in inside)
    assert any(
        pixels.any()
        for pixels in (
            draw_faces(photograph, faces)[y + 12 : y + 88, x + 12 : x + 68] for x, y, *_ in boxes
        )
    )


def test_large_faces_of_a_photograph_have_the_text_of_its_size() -> None:
    photograph = np.zeros((720, 1280, 3), np.uint8)
    face = make_face((500, 200, 600, 330))
    as_still = draw_faces(photograph, [face], is_still=True)
    np.testing.assert_array_equal(as_still, draw_faces(photograph, [face]))


def test_consecutive_tracks_have_distinct_colours() -> None:
    for track in range(1, 200):
        first, second = np.array(track_colour(track)), np.array(track_colour(track + 1))
        assert np.abs(first - second).max() > 60


def test_labels_of_the_normal_case_are_left_out() -> None:
    settled = {
        "gender": Attribute("male", 0.976),
        "pose": Attribute("frontal", 0.9),
        "occlusion": Attribute("glasses", 0.8),
        "age": Attribute("old", 0.7),
    }
    assert label_lines(7, settled) == ["#7 male 98%", "old 70%", "occlusion glasses 80%"]
    assert label_lines(7, {}) == ["#7"]


def test_unsure_attributes_are_question_marks_or_left_out() -> None:
    settled = {head: Attribute(UNSURE, 0.4) for head in HEADS}
    assert label_lines(7, settled) == ["#7 gender ?", "age ?", "expression ?"]
    settled["age"] = Attribute("old", 0.7)
    assert label_lines(7, settled) == ["#7 gender ?", "old 70%", "expression ?"]


def test_unsure_lines_are_gray() -> None:
    picture = np.zeros((360, 640, 3), np.uint8)

    def white(label: str) -> int:
        face = make_face((100, 100, 200, 220))
        settled = {"expression": Attribute(label, 0.5)}
        drawn = draw_faces(picture, [replace(face, settled=settled)])
        return int((drawn == TEXT_BGR).all(axis=2).sum())

    assert white(UNSURE) == 0
    assert white("happiness") > 0
