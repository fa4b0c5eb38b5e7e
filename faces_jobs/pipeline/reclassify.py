"""Which faces the models judge, where they need not judge each one: those that may say otherwise.

A model judges both ends of a face's way through a stretch. Where they say the same, by a margin
that what has changed in between can't use up, the faces between them get the mean of the two,
weighted by time: so their label is the same too. Else the model judges the face in the middle,
and so on in both halves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.crops import crop_faces
from faces_jobs.pipeline.redetect import Found
from faces_jobs.pipeline.stages import Classifier
from faces_jobs.pipeline.stretches import Stretch, Stretches
from faces_jobs.pipeline.tracking import OverlapTracker
from faces_jobs.pipeline.values import Opinion
from faces_jobs.pipeline.voting import UnsureBelow

# So many faces of a way are spared at most, less one.
LONGEST = 8
# How much of a margin may be used up: by what the probabilities moved from end to end, ...
PER_PROBABILITY = 1.0
# ... and by what the picture of a face in between differs from those at the ends.
PER_CHANGE = 0.5
_LOOK_SIDE = 16
_LEAST_CONTRAST = 8.0  # gray levels: below it differences are noise


@dataclass(slots=True, eq=False)
class Judged:
    """A frame, and what the models say of each of its detections."""

    found: Found
    opinions: list[dict[str, NDArray[np.float32]]]
    _looks: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def time_ms(self) -> float:
        """Of the frame."""
        return self.found.frame.time_ms

    def look(self, place: int) -> NDArray[np.float32]:
        """(16, 16) gray levels of a face, its contrast evened out."""
        if place not in self._looks:
            box = self.found.detections.boxes_xyxy[place : place + 1]
            [crop] = crop_faces(self.found.frame.picture_bgr, box, scale=1.0, size=_LOOK_SIDE)
            gray = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY).astype(np.float32)
            self._looks[place] = gray / max(_LEAST_CONTRAST, float(gray.std()))
        return self._looks[place]


Spot = tuple[Judged, int]
"""One face: the frame it is in, and its place among that frame's detections."""

Judge = Callable[[Classifier, Sequence[Spot]], Sequence[Opinion]]
"""What a model says about each of these faces."""


class Reclassification:
    """Has the faces of frames judged that come one by one. One instance a run.

    Holds back the frames of one stretch: those it has yet to decide on.
    """

    def __init__(
        self, classifiers: Sequence[Classifier], judge: Judge, unsure_below: UnsureBelow
    ) -> None:
        """Ask these classifiers by calling `judge` on faces in no particular order."""
        self._classifiers = classifiers
        self._judge = judge
        self._unsure_below = unsure_below
        self._stretches: Stretches[Judged] = Stretches(LONGEST)
        self._last: Judged | None = None

    def add(self, found: Found, *, begins: bool) -> list[Judged]:
        """What this frame, the next in order, lets be known: frames in order, up to itself.

        `begins`: see `Beginnings`.
        """
        frame = Judged(found, [{} for _ in range(len(found.detections))])
        return self._work_on(self._stretches.add(frame, begins=begins))

    def finish(self) -> list[Judged]:
        """What was held back, after the last frame."""
        return self._work_on(self._stretches.finish())

    def _work_on(self, stretches: list[Stretch[Judged]]) -> list[Judged]:
        done = []
        for stretch in stretches:
            leans = self._last is not None and not stretch.begins
            ways = _ways([self._last, *stretch.frames] if leans and self._last else stretch.frames)
            for classifier in self._classifiers:
                self._settle(classifier, ways)
            self._last = stretch.frames[-1]
            done += stretch.frames
        return done

    def _settle(self, classifier: Classifier, ways: list[list[Spot]]) -> None:
        heads = tuple(classifier.heads)
        self._ask(classifier, [end for way in ways for end in (way[0], way[-1])])
        while ways := [way for way in ways if len(way) > 2]:
            halved: list[list[Spot]] = []
            for way in ways:
                if self._is_settled(way, heads):
                    _carry(way, heads)
                else:
                    middle = len(way) // 2
                    halved += [way[: middle + 1], way[middle:]]
            self._ask(classifier, [way[0] for way in halved])
            ways = halved

    def _ask(self, classifier: Classifier, spots: Sequence[Spot]) -> None:
        """Judge those among them that are not judged yet."""
        due: dict[tuple[int, int], Spot] = {}
        for frame, place in spots:
            if not frame.opinions[place].keys() >= set(classifier.heads):
                due[id(frame), place] = (frame, place)
        if due:
            opinions = self._judge(classifier, list(due.values()))
            for (frame, place), opinion in zip(due.values(), opinions, strict=True):
                frame.opinions[place].update(opinion)

    def _is_settled(self, way: Sequence[Spot], heads: Sequence[str]) -> bool:
        (first, first_place), (last, last_place) = way[0], way[-1]
        change = PER_CHANGE * _change(way)
        for head in heads:
            before, after = first.opinions[first_place][head], last.opinions[last_place][head]
            threshold = self._unsure_below.get(head, 0.0)
            label, margin = _label_and_margin(before, threshold)
            label_after, margin_after = _label_and_margin(after, threshold)
            moved = PER_PROBABILITY * float(np.abs(before - after).max())
            if label != label_after or min(margin, margin_after) < moved + change:
                return False
        return True


def _ways(frames: Sequence[Judged]) -> list[list[Spot]]:
    """The way of each face through these frames. It depends on nothing before them."""
    tracker = OverlapTracker()
    ways: dict[int, list[Spot]] = {}
    for frame in frames:
        boxes = frame.found.detections.boxes_xyxy
        for place, number in enumerate(tracker.link(frame.time_ms, boxes, begins_scene=False)):
            ways.setdefault(number, []).append((frame, place))
    return list(ways.values())


def _change(way: Sequence[Spot]) -> float:
    """How much the face in between differs at most from how it looks at the nearer end."""
    first, *between, last = (frame.look(place) for frame, place in way)
    return max(
        min(float(np.abs(look - first).mean()), float(np.abs(look - last).mean()))
        for look in between
    )


def _label_and_margin(probabilities: NDArray[np.float32], threshold: float) -> tuple[int, float]:
    """The likeliest label (-1: unsure), and how far the probabilities are from another one."""
    likeliest = int(np.argmax(probabilities))
    highest = float(probabilities[likeliest])
    if highest < threshold:
        return -1, threshold - highest
    others = np.delete(probabilities, likeliest)
    return likeliest, min(highest - float(others.max(initial=0.0)), highest - threshold)


def _carry(way: Sequence[Spot], heads: Sequence[str]) -> None:
    (first, first_place), *between, (last, last_place) = way
    elapsed = last.time_ms - first.time_ms
    for frame, place in between:
        share = np.float32((frame.time_ms - first.time_ms) / elapsed if elapsed else 0.0)
        for head in heads:
            before, after = first.opinions[first_place][head], last.opinions[last_place][head]
            frame.opinions[place][head] = before * (1 - share) + after * share
