"""Tracking: one number per face, through motion, misses, strides and scene cuts."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from faces_jobs.pipeline.tracking import (
    MARGIN,
    MAX_LOST_FRAMES,
    MAX_LOST_MS,
    MIN_OVERLAP,
    OverlapTracker,
    overlaps,
    pair_boxes,
)
from faces_jobs.pipeline.values import Detections, Frame
from tests import clips

SCENE = clips.picture()


def a_frame(index: int, *, step_ms: float = 40.0, scene: clips.Picture = SCENE) -> Frame:
    return Frame(index, index * step_ms, scene)


def detections(*boxes: tuple[float, float, float, float]) -> Detections:
    count = len(boxes)
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.full(count, 0.9, np.float32))


def box(x: float, y: float = 20.0, side: float = 20.0) -> tuple[float, float, float, float]:
    return x, y, x + side, y + side


def test_numbers_start_at_one_from_left_to_right_in_each_tracker() -> None:
    for _ in range(2):
        unsorted = detections(box(200), box(10), box(90))
        assert OverlapTracker().update(a_frame(0), unsorted) == [3, 1, 2]


def test_two_trackers_at_once_share_nothing() -> None:
    one, other = OverlapTracker(), OverlapTracker()
    assert one.update(a_frame(0), detections(box(10))) == [1]
    assert other.update(a_frame(0), detections(box(10), box(90))) == [1, 2]
    assert one.update(a_frame(1), detections(box(12), box(90))) == [1, 2]


def test_a_face_keeps_its_number_whatever_the_order_of_detections() -> None:
    tracker = OverlapTracker()
    assert tracker.update(a_frame(0), detections(box(10), box(100))) == [1, 2]
    assert tracker.update(a_frame(1), detections(box(102), box(12))) == [2, 1]


@pytest.mark.parametrize("stride", [1, 5, 10])
def test_a_face_that_walks_is_one_track_at_any_stride(stride: int) -> None:
    tracker = OverlapTracker()
    # It moves by 1.5 pixels per frame: at a stride of 10, by 15 pixels, and it is 20 pixels wide.
    for index in range(0, 100, stride):
        assert tracker.update(a_frame(index), detections(box(10 + 1.5 * index))) == [1]


def test_two_faces_that_pass_each_other_keep_their_numbers() -> None:
    tracker = OverlapTracker()
    for index in range(60):
        left, right = box(10 + 3 * index, 20), box(187 - 3 * index, 32)
        assert tracker.update(a_frame(index), detections(left, right)) == [1, 2]


def test_a_face_that_is_missed_for_a_moment_keeps_its_number() -> None:
    tracker = OverlapTracker()
    for index in range(10):
        tracker.update(a_frame(index), detections(box(10 + 2 * index)))
    for index in range(10, 15):
        assert tracker.update(a_frame(index), detections()) == []
    assert tracker.update(a_frame(15), detections(box(40))) == [1]


def test_a_face_that_was_away_for_long_is_a_new_track() -> None:
    tracker = OverlapTracker()
    tracker.update(a_frame(0), detections(box(10)))
    last = round(MAX_LOST_MS / 40) + 3
    for index in range(1, last):
        tracker.update(a_frame(index), detections())
    assert tracker.update(a_frame(last), detections(box(10))) == [2]


@pytest.mark.parametrize(("missed", "number"), [(MAX_LOST_FRAMES, 1), (MAX_LOST_FRAMES + 1, 2)])
def test_a_face_may_be_missed_in_a_few_frames_that_are_far_apart(missed: int, number: int) -> None:
    tracker = OverlapTracker()
    seen = 3
    for index in range(seen):
        tracker.update(a_frame(index, step_ms=5000), detections(box(10)))
    for index in range(seen, seen + missed):
        tracker.update(a_frame(index, step_ms=5000), detections())
    after = a_frame(seen + missed, step_ms=5000)
    assert tracker.update(after, detections(box(10))) == [number]


@pytest.mark.parametrize(("missed", "moved"), [(3, 4), (20, 7.5)])
def test_a_face_that_is_missed_is_expected_where_it_was_going_and_then_stops(
    missed: int, moved: float
) -> None:
    tracker = OverlapTracker()
    # 15 pixels per frame of 40 ms, and 20 pixels wide: it leaves its place within two frames.
    for index in range(10):
        assert tracker.update(a_frame(index), detections(box(15 * index))) == [1]
    for index in range(10, 10 + missed):
        tracker.update(a_frame(index), detections())
    back = detections(box(15 * (9 + moved)))  # after 4 frames of 160 ms, or where 300 ms lead
    assert tracker.update(a_frame(10 + missed), back) == [1]


def test_a_face_elsewhere_is_another_track() -> None:
    tracker = OverlapTracker()
    tracker.update(a_frame(0), detections(box(10)))
    assert tracker.update(a_frame(1), detections(box(150))) == [2]


def test_a_cut_ends_every_track_even_where_a_face_stands_at_the_same_place() -> None:
    tracker = OverlapTracker()
    pictures = clips.two_scenes(6)
    numbers = [
        tracker.update(a_frame(index, scene=scene), detections(box(20, 10, 14)))[0]
        for index, scene in enumerate(pictures)
    ]
    assert numbers == [1, 1, 1, 2, 2, 2]


def test_a_flash_is_not_a_cut() -> None:
    tracker = OverlapTracker()
    bright = np.clip(SCENE.astype(int) + 120, 0, 255).astype(np.uint8)
    numbers = [
        tracker.update(a_frame(index, scene=scene), detections(box(20)))
        for index, scene in enumerate([SCENE, bright, SCENE])
    ]
    assert numbers == [[1], [1], [1]]


sides = st.floats(1, 200, width=32)
boxes = st.builds(
    lambda x, y, w, h: (x, y, x + w, y + h), st.floats(0, 500), st.floats(0, 500), sides, sides
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(boxes, max_size=6), max_size=12), st.integers(1, 50))
def test_numbers_are_distinct_in_a_frame_and_never_reused(
    frames: list[list[tuple[float, float, float, float]]], stride: int
) -> None:
    tracker = OverlapTracker()
    highest = 0
    last_seen: dict[int, int] = {}
    for index, found_boxes in enumerate(frames):
        numbers = tracker.update(a_frame(index * stride), detections(*found_boxes))
        assert len(numbers) == len(found_boxes)
        assert len(set(numbers)) == len(numbers)
        new = sorted(number for number in numbers if number > highest)
        assert new == list(range(highest + 1, highest + 1 + len(new)))
        highest += len(new)
        for number in numbers:
            gap = index - last_seen.get(number, index)
            assert gap <= MAX_LOST_FRAMES + 1 or gap * stride * 40 <= MAX_LOST_MS + stride * 40
            last_seen[number] = index


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(boxes, boxes)
def test_overlap_is_symmetric_and_one_with_itself(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> None:
    pair = np.array([one, other])
    table = overlaps(pair, pair)
    assert table.shape == (2, 2)
    assert table[0, 1] == pytest.approx(table[1, 0])
    assert np.all((table >= 0) & (table <= 1 + 1e-9))
    assert table[0, 0] == pytest.approx(1)


def test_boxes_without_an_area_overlap_nothing() -> None:
    flat = np.array([[5.0, 5.0, 5.0, 9.0]])
    assert overlaps(flat, flat).tolist() == [[0.0]]


@given(
    st.lists(st.tuples(*[st.integers(0, 60)] * 2), max_size=6),
    st.lists(st.tuples(*[st.integers(0, 60)] * 2), max_size=6),
)
def test_pairs_are_those_of_the_largest_total_overlap(
    before: list[tuple[int, int]], after: list[tuple[int, int]]
) -> None:
    first, second = (
        detections(*(box(x, y) for x, y in corners)).boxes_xyxy for corners in (before, after)
    )
    grown = [boxes + MARGIN * 20 * np.array([-1.0, -1, 1, 1]) for boxes in (first, second)]
    overlap = overlaps(*grown)
    overlap[overlap < MIN_OVERLAP] = 0
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    found = pair_boxes(first, second)
    assert all(overlap[pair] > 0 for pair in found)
    assert len({row for row, _ in found}) == len({column for _, column in found}) == len(found)
    assert np.isclose(sum(overlap[pair] for pair in found), overlap[rows, columns].sum())


def test_faces_apart_from_each_other_are_paired_without_the_slow_import_of_scipy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    first = detections(box(10), box(90), box(200)).boxes_xyxy
    second = detections(box(203), box(300), box(12)).boxes_xyxy
    assert pair_boxes(first, second) == [(0, 2), (2, 0)]
