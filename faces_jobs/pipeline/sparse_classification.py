"""Which faces the models judge, where they need not judge each one: those that may say otherwise.

A model judges both ends of a face's way through a stretch. Where it says the same at both, by a
margin that what has changed in between can't use up, the faces between get the mean of the two,
weighted by time: so their label is the same too. Else it judges the face in the middle, and so
on in both halves. What is lost by it is measured: see docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.batches import Batch, PendingFace, Turn
from faces_jobs.pipeline.classify_stage import MAX_CROPS, ClassifyStage, Crops
from faces_jobs.pipeline.stages import Classifier
from faces_jobs.pipeline.tracking import OverlapTracker
from faces_jobs.pipeline.values import Frame, Picture
from faces_jobs.pipeline.voting import UnsureBelow

# How much of a margin is used up: by what the probabilities moved from end to end, ...
PER_PROBABILITY = 1.0
# ... and by how much the picture of a face in between differs from those at the ends.
PER_CHANGE = 0.5
_LOOK_SIDE = 16
_LEAST_CONTRAST = 8.0  # gray levels: differences below are noise

Look = NDArray[np.float32]
"""(16, 16) gray levels of a face's crop, its contrast evened out: what tells a change from none."""

_Way = list[PendingFace]  # one face through some frames
_Row = tuple[Frame, Sequence[PendingFace]]  # a frame and its faces


class SparseClassification:
    """Has the faces of batches judged that are whole stretches. One instance a run."""

    def __init__(
        self, judge: ClassifyStage, classifiers: Sequence[Classifier], unsure_below: UnsureBelow
    ) -> None:
        self._judge = judge
        self._classifiers = classifiers
        self._unsure_below = unsure_below
        self._last: tuple[_Row, dict[PendingFace, Look]] | None = None  # of the batch before

    def judge(self, batch: Batch, turn: Turn) -> None:
        """Fill the opinion and sharpness of each face of the batch, judged or told by others."""
        looks: dict[PendingFace, Look] = {}
        held: dict[PendingFace, Picture] = {}
        for _, crops in self._judge.measured(batch.faces):
            looks.update((face, look_at(crop)) for face, crop in crops.items())
            if len(held) + len(crops) <= MAX_CROPS:
                held.update(crops)
        ends = [batch.faces_by_frame[stretch.frames[-1].index] for stretch in batch.stretches]
        for classifier in self._classifiers:
            self._ask(classifier, (face for faces in ends for face in faces), held)
        with turn("judge"):
            last = self._last
            if batch.stretches:
                frame = batch.stretches[-1].frames[-1]
                row = frame, batch.faces_by_frame[frame.index]
                self._last = row, {face: looks[face] for face in row[1]}
        if last is not None:
            looks.update(last[1])
        ways = _ways_of(batch, None if last is None else last[0])
        for classifier in self._classifiers:
            self._settle(classifier, ways, looks, held)

    def _settle(
        self, classifier: Classifier, ways: list[_Way], looks: dict[PendingFace, Look], held: Crops
    ) -> None:
        self._ask(classifier, (end for way in ways for end in (way[0], way[-1])), held)
        while ways := [way for way in ways if len(way) > 2]:
            halves: list[_Way] = []
            for way in ways:
                if self._is_settled(way, classifier.heads, looks):
                    _carry(way, classifier.heads)
                else:
                    middle = len(way) // 2
                    halves += [way[: middle + 1], way[middle:]]
            self._ask(classifier, (way[0] for way in halves), held)
            ways = halves

    def _ask(self, classifier: Classifier, faces: Iterable[PendingFace], held: Crops) -> None:
        """Have those of them judged that are not judged yet."""
        head = next(iter(classifier.heads))
        due = list(dict.fromkeys(face for face in faces if head not in face.opinion))
        if due:
            due.sort(key=lambda face: face.frame.index)  # those of a frame are cut together
            self._judge.ask(classifier, due, held)

    def _is_settled(self, way: _Way, heads: Iterable[str], looks: dict[PendingFace, Look]) -> bool:
        change = PER_CHANGE * _change([looks[face] for face in way])
        for head in heads:
            before, after = way[0].opinion[head], way[-1].opinion[head]
            threshold = self._unsure_below.get(head, 0.0)
            label, margin = label_and_margin(before, threshold)
            label_after, margin_after = label_and_margin(after, threshold)
            moved = PER_PROBABILITY * float(np.abs(before - after).max())
            if label != label_after or min(margin, margin_after) < moved + change:
                return False
        return True


def look_at(crop_bgr: Picture) -> Look:
    """How a face looks, of its crop."""
    small = cv2.resize(crop_bgr, (_LOOK_SIDE, _LOOK_SIDE), interpolation=cv2.INTER_AREA)
    gray = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
    return np.asarray(gray / max(_LEAST_CONTRAST, float(gray.std())), np.float32)


def label_and_margin(probabilities: NDArray[np.float32], unsure_below: float) -> tuple[int, float]:
    """The likeliest label (-1: unsure), and how far the probabilities are from another one."""
    likeliest = int(np.argmax(probabilities))
    highest = float(probabilities[likeliest])
    if highest < unsure_below:
        return -1, unsure_below - highest
    others = np.delete(probabilities, likeliest)
    return likeliest, min(highest - float(others.max(initial=0.0)), highest - unsure_below)


def _ways_of(batch: Batch, last: _Row | None) -> list[_Way]:
    """The ways of all faces through each of the batch's stretches."""
    ways: list[_Way] = []
    before = last
    for stretch in batch.stretches:
        rows: list[_Row] = [(frame, batch.faces_by_frame[frame.index]) for frame in stretch.frames]
        leans = before is not None and not stretch.begins
        ways += _ways([before, *rows] if before is not None and leans else rows)
        before = rows[-1]
    return ways


def _ways(rows: Sequence[_Row]) -> list[_Way]:
    """The way of each face through a stretch.

    It is no track: tracks may have begun long before, in another part of the video, and what is
    said of faces must not depend on that.
    """
    tracker = OverlapTracker()
    ways: dict[int, _Way] = {}
    for frame, faces in rows:
        boxes = np.array([face.box_xyxy for face in faces], np.float64)
        numbers = tracker.link(frame.time_ms, boxes, begins_scene=False)
        for face, number in zip(faces, numbers, strict=True):
            ways.setdefault(number, []).append(face)
    return list(ways.values())


def _change(looks: Sequence[Look]) -> float:
    """How much a face in between differs at most from how it looks at the nearer end."""
    first, *between, last = looks
    return max(
        min(float(np.abs(look - first).mean()), float(np.abs(look - last).mean()))
        for look in between
    )


def _carry(way: _Way, heads: Iterable[str]) -> None:
    first, *between, last = way
    elapsed = last.frame.time_ms - first.frame.time_ms
    for face in between:
        passed = face.frame.time_ms - first.frame.time_ms
        share = np.float32(passed / elapsed if elapsed else 0.0)
        for head in heads:
            before, after = first.opinion[head], last.opinion[head]
            face.opinion[head] = before * (1 - share) + after * share
