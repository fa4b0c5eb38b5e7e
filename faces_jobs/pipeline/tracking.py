"""Links detections to tracks, by their overlap with the predicted boxes of the tracks.

Each track predicts its box with constant velocity; predictions and detections are assigned so
that the sum of their overlaps is maximal. A face that is missed for a moment keeps its number.
A scene cut ends every track, since another face may appear in the same place.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Boxes, Detections, Frame, Picture

# Boxes are enlarged by this fraction of their size on each side before their overlap is measured,
# so that small faces that move fast, or far between two analysed frames, still match.
MARGIN = 0.25
MIN_OVERLAP = 0.25
# A track ends when its face has been missing for longer, in time and in analysed frames.
MAX_LOST_MS = 1000.0
MAX_LOST_FRAMES = 2
# A missing face is predicted to keep its velocity for this long, then to stop.
COAST_MS = 300.0
# Mean difference of gray levels between two frames, after subtracting their mean brightness, above
# which there is a scene cut. Fast pans and zooms stay below 25, cuts are mostly above 50.
MIN_CUT_DIFFERENCE = 40.0
_SCENE_SIDE = 32

Scene = NDArray[np.float32]
"""(32, 32) gray levels of a frame."""


@dataclass(slots=True)
class _Track:
    number: int
    box: NDArray[np.float64]  # xyxy, when last seen
    velocity: NDArray[np.float64]  # of the four sides, pixels per millisecond
    seen_ms: float
    missed: int = 0

    def predict(self, time_ms: float) -> NDArray[np.float64]:
        return self.box + self.velocity * min(time_ms - self.seen_ms, COAST_MS)

    def update(self, box: NDArray[np.float64], time_ms: float) -> None:
        elapsed = time_ms - self.seen_ms
        if elapsed > 0:
            # Smoothed by half, because boxes jitter by a pixel or two from frame to frame.
            self.velocity = (self.velocity + (box - self.box) / elapsed) / 2
        self.box, self.seen_ms, self.missed = box, time_ms, 0


def scene_of(picture_bgr: Picture) -> Scene:
    """Return a thumbnail that distinguishes scenes: (32, 32) float32 gray levels."""
    # Nearest-neighbour sampling costs 0.1 ms at any size, unlike a mean over all pixels.
    sampled = cv2.resize(picture_bgr, (_SCENE_SIDE, _SCENE_SIDE), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.cvtColor(sampled, cv2.COLOR_BGR2GRAY), np.float32)


def is_cut(before: Scene | None, after: Scene) -> bool:
    """Return whether there is a scene cut between two consecutive frames."""
    if before is None:
        return False
    change = (after - after.mean()) - (before - before.mean())
    return float(np.abs(change).mean()) > MIN_CUT_DIFFERENCE


class OverlapTracker:
    """A `Tracker` for one item. Track numbers start at 1 and are never reused."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._last_number = 0
        self._scene: Scene | None = None

    def update(self, frame: Frame, detections: Detections) -> list[int]:
        """Return the track number of each detection of the next analysed frame."""
        scene = scene_of(frame.picture_bgr)
        begins_scene = is_cut(self._scene, scene)
        self._scene = scene
        return self.link(frame.time_ms, detections.boxes_xyxy, begins_scene=begins_scene)

    def link(
        self, time_ms: float, boxes_xyxy: Boxes | NDArray[np.float64], *, begins_scene: bool
    ) -> list[int]:
        """Return the track number of each box of the next frame.

        The numbers don't depend on the order of the boxes, and no picture is needed. So boxes that
        were stored can be linked later.
        """
        if begins_scene:
            self._tracks = []
        given = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
        order = np.lexsort(given.T[::-1])
        boxes = given[order]
        numbers = [0] * len(boxes)
        missing = set(range(len(self._tracks)))
        for track, detection in self._pairs(boxes, time_ms):
            self._tracks[track].update(boxes[detection], time_ms)
            numbers[detection] = self._tracks[track].number
            missing.discard(track)
        for track in missing:
            self._tracks[track].missed += 1
        self._tracks = [track for track in self._tracks if _is_alive(track, time_ms)]
        for detection, number in enumerate(numbers):
            if not number:
                self._last_number += 1
                numbers[detection] = self._last_number
                self._tracks.append(
                    _Track(self._last_number, boxes[detection], np.zeros(4), time_ms)
                )
        return [numbers[index] for index in np.argsort(order).tolist()]

    def _pairs(self, boxes: NDArray[np.float64], time_ms: float) -> list[tuple[int, int]]:
        if not self._tracks or not len(boxes):
            return []
        return pair_boxes(np.stack([track.predict(time_ms) for track in self._tracks]), boxes)


def _is_alive(track: _Track, time_ms: float) -> bool:
    return track.missed <= MAX_LOST_FRAMES or time_ms - track.seen_ms <= MAX_LOST_MS


def pair_boxes(
    first_xyxy: NDArray[np.float64] | Boxes, second_xyxy: NDArray[np.float64] | Boxes
) -> list[tuple[int, int]]:
    """Return the pairs of indices, into (n, 4) and (m, 4) boxes, that belong to one face each."""
    if not len(first_xyxy) or not len(second_xyxy):
        return []
    overlap = overlaps(
        _enlarged(np.asarray(first_xyxy, np.float64)),
        _enlarged(np.asarray(second_xyxy, np.float64)),
    )
    # Without this, pairs that hardly overlap could displace good ones by adding to the sum.
    overlap[overlap < MIN_OVERLAP] = 0
    possible = overlap > 0
    if possible.sum(axis=0).max() > 1 or possible.sum(axis=1).max() > 1:
        # A box could be paired with several. Importing this takes half a second.
        from scipy.optimize import linear_sum_assignment  # noqa: PLC0415

        rows, columns = linear_sum_assignment(overlap, maximize=True)
        return [
            (int(row), int(column))
            for row, column in zip(rows, columns, strict=True)
            if possible[row, column]
        ]
    return [(int(row), int(column)) for row, column in np.argwhere(possible)]


def overlaps(
    first_xyxy: NDArray[np.float64] | Boxes, second_xyxy: NDArray[np.float64] | Boxes
) -> NDArray[np.float64]:
    """Return the intersection over union, (n, m) in 0..1, of (n, 4) boxes with (m, 4) boxes."""
    first = np.asarray(first_xyxy, np.float64)[:, np.newaxis]
    second = np.asarray(second_xyxy, np.float64)[np.newaxis]
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(
        first[..., :2], second[..., :2]
    )
    intersection = np.clip(sides, 0, None).prod(axis=-1)
    areas = [np.clip(box[..., 2:] - box[..., :2], 0, None).prod(axis=-1) for box in (first, second)]
    union = areas[0] + areas[1] - intersection
    return np.asarray(np.where(union > 0, intersection / np.where(union > 0, union, 1), 0.0))


def _enlarged(boxes_xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    margin = MARGIN * (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2])
    return np.concatenate([boxes_xyxy[:, :2] - margin, boxes_xyxy[:, 2:] + margin], axis=1)
