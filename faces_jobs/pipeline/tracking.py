"""Link detections through the frames of one item, by overlap with where each face should be now.

Each track predicts its box with constant velocity; predictions and detections are paired so
that the sum of their overlaps is largest. A face that is missed for a moment keeps its number.
At a scene cut every track ends, since another face may stand where one stood before.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Boxes, Detections, Frame, Picture

# Boxes grow by this part of their size on each side before their overlap is measured, so that
# small faces that move fast, or far between two analysed frames, still meet their prediction.
MARGIN = 0.25
MIN_OVERLAP = 0.25
# A miss is forgiven for this long, and at least for so many analysed frames.
MAX_LOST_MS = 1000.0
MAX_LOST_FRAMES = 2
# A lost face is expected to go on moving for this long; then to have stopped.
COAST_MS = 300.0
# Mean difference of gray levels between two frames, brightness evened out, above which they
# are of two scenes. Fast pans and zooms stay below 25, cuts mostly above 50.
MIN_CUT_DIFFERENCE = 40.0
_CUT_SIDE = 32

Scene = NDArray[np.float32]
"""(32, 32) gray levels of a frame."""


@dataclass(slots=True)
class _Track:
    number: int
    box: NDArray[np.float64]  # xyxy, as last seen
    velocity: NDArray[np.float64]  # of the four sides, pixels a millisecond
    seen_ms: float
    missed: int = 0

    def expected(self, time_ms: float) -> NDArray[np.float64]:
        return self.box + self.velocity * min(time_ms - self.seen_ms, COAST_MS)

    def see(self, box: NDArray[np.float64], time_ms: float) -> None:
        elapsed = time_ms - self.seen_ms
        if elapsed > 0:
            # Half of the new velocity: boxes tremble by a pixel or two from frame to frame.
            self.velocity = (self.velocity + (box - self.box) / elapsed) / 2
        self.box, self.seen_ms, self.missed = box, time_ms, 0


def scene_of(picture_bgr: Picture) -> Scene:
    """What tells one scene from another: (32, 32) float32 gray levels of a frame."""
    # The nearest pixels, not a mean over all: it costs 0.1 ms at any size.
    sampled = cv2.resize(picture_bgr, (_CUT_SIDE, _CUT_SIDE), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.cvtColor(sampled, cv2.COLOR_BGR2GRAY), np.float32)


def is_cut(before: Scene | None, after: Scene) -> bool:
    """Whether two frames that follow each other are of two scenes."""
    if before is None:
        return False
    change = (after - after.mean()) - (before - before.mean())
    return float(np.abs(change).mean()) > MIN_CUT_DIFFERENCE


class OverlapTracker:
    """A `Tracker`. One instance an item: numbers begin at 1 and are never used again."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._issued = 0
        self._scene: Scene | None = None

    def update(self, frame: Frame, detections: Detections) -> list[int]:
        """The track number of each detection of this frame, in its order.

        Frames come in order of time; those that are not analysed are left out.
        """
        scene = scene_of(frame.picture_bgr)
        begins_scene = is_cut(self._scene, scene)
        self._scene = scene
        return self.link(frame.time_ms, detections.boxes_xyxy, begins_scene=begins_scene)

    def link(
        self, time_ms: float, boxes_xyxy: Boxes | NDArray[np.float64], *, begins_scene: bool
    ) -> list[int]:
        """The track number of each box, in their order, of the frame of this time.

        The same boxes in another order get the same numbers. So boxes that were kept can be
        linked later, without a picture.
        """
        if begins_scene:
            self._tracks = []
        given = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
        order = np.lexsort(given.T[::-1])
        boxes = given[order]
        numbers = [0] * len(boxes)
        unseen = set(range(len(self._tracks)))
        for track, detection in self._pairs(boxes, time_ms):
            self._tracks[track].see(boxes[detection], time_ms)
            numbers[detection] = self._tracks[track].number
            unseen.discard(track)
        for track in unseen:
            self._tracks[track].missed += 1
        self._tracks = [track for track in self._tracks if self._remembers(track, time_ms)]
        for detection, number in enumerate(numbers):
            if not number:
                self._issued += 1
                numbers[detection] = self._issued
                self._tracks.append(_Track(self._issued, boxes[detection], np.zeros(4), time_ms))
        return [numbers[place] for place in np.argsort(order).tolist()]

    def _pairs(self, boxes: NDArray[np.float64], time_ms: float) -> list[tuple[int, int]]:
        if not self._tracks or not len(boxes):
            return []
        return pair_boxes(np.stack([track.expected(time_ms) for track in self._tracks]), boxes)

    def _remembers(self, track: _Track, time_ms: float) -> bool:
        return track.missed <= MAX_LOST_FRAMES or time_ms - track.seen_ms <= MAX_LOST_MS


def pair_boxes(
    first_xyxy: NDArray[np.float64] | Boxes, second_xyxy: NDArray[np.float64] | Boxes
) -> list[tuple[int, int]]:
    """Places in the first, (n, 4), and the second, (m, 4), of boxes that are of one face."""
    if not len(first_xyxy) or not len(second_xyxy):
        return []
    overlap = overlaps(
        _grown(np.asarray(first_xyxy, np.float64)), _grown(np.asarray(second_xyxy, np.float64))
    )
    # It takes half a second to import, and pictures never need it. A worker has done so when its
    # first video comes (`worker/warming.py`).
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415

    # What overlaps too little must not win a pair by adding a little to the sum.
    overlap[overlap < MIN_OVERLAP] = 0
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    return [
        (int(row), int(column))
        for row, column in zip(rows, columns, strict=True)
        if overlap[row, column] > 0
    ]


def overlaps(
    first_xyxy: NDArray[np.float64] | Boxes, second_xyxy: NDArray[np.float64] | Boxes
) -> NDArray[np.float64]:
    """Intersection over union of each of (n, 4) with each of (m, 4): (n, m), 0..1."""
    first = np.asarray(first_xyxy, np.float64)[:, np.newaxis]
    second = np.asarray(second_xyxy, np.float64)[np.newaxis]
    corners = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(
        first[..., :2], second[..., :2]
    )
    inside = np.clip(corners, 0, None).prod(axis=-1)
    areas = [np.clip(box[..., 2:] - box[..., :2], 0, None).prod(axis=-1) for box in (first, second)]
    union = areas[0] + areas[1] - inside
    return np.asarray(np.where(union > 0, inside / np.where(union > 0, union, 1), 0.0))


def _grown(boxes_xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    margin = MARGIN * (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2])
    return np.concatenate([boxes_xyxy[:, :2] - margin, boxes_xyxy[:, 2:] + margin], axis=1)
