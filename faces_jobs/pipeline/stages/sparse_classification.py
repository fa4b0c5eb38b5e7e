"""Classifies some faces, and interpolates the opinions of those between.

A model classifies both ends of a face's path through a stretch. If it predicts the same label at
both, by a larger margin than the changes in between can account for, the faces between get the mean
of the two opinions, weighted by time, and thus the same label. Otherwise it classifies the face in
the middle, and so on in both halves. The loss of accuracy is measured in docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.batches import Batch, PendingFace, Turn
from faces_jobs.pipeline.protocols import Classifier
from faces_jobs.pipeline.stages.classify import MAX_CROPS, ClassifyStage, Crops
from faces_jobs.pipeline.tracking import OverlapTracker
from faces_jobs.pipeline.values import Frame, Picture
from faces_jobs.pipeline.voting import UnsureBelow

# What the margin must exceed: the largest change of a probability from end to end, times this, ...
PER_PROBABILITY = 1.0
# ... plus the largest change of the appearance between the ends, times this.
PER_CHANGE = 0.5
_APPEARANCE_SIDE = 16
_MIN_CONTRAST = 8.0  # gray levels; smaller differences are noise

Appearance = NDArray[np.float32]
"""(16, 16) gray levels of a face's crop, normalised by their contrast."""

_Path = list[PendingFace]  # one face in consecutive frames
_Row = tuple[Frame, Sequence[PendingFace]]  # a frame and its faces


class SparseClassification:
    """A classification stage for batches of whole stretches. Lanes share one instance per item."""

    def __init__(
        self,
        classify_stage: ClassifyStage,
        classifiers: Sequence[Classifier],
        unsure_below: UnsureBelow,
    ) -> None:
        self._classify_stage = classify_stage
        self._classifiers = classifiers
        self._unsure_below = unsure_below
        # The last row of the batch before, and the appearance of its faces.
        self._last: tuple[_Row | None, dict[PendingFace, Appearance]] = None, {}

    def classify(self, batch: Batch, turn: Turn) -> None:
        """Fill in the sharpness and opinion, predicted or interpolated, of each face."""
        appearances: dict[PendingFace, Appearance] = {}
        kept_crops: dict[PendingFace, Picture] = {}
        for _, crops in self._classify_stage.measure_sharpness(batch.faces):
            appearances.update((face, appearance_of(crop)) for face, crop in crops.items())
            if len(kept_crops) + len(crops) <= MAX_CROPS:
                kept_crops.update(crops)
        ends = [batch.faces_by_frame[stretch.frames[-1].index] for stretch in batch.stretches]
        for classifier in self._classifiers:
            self._classify_new(classifier, (face for faces in ends for face in faces), kept_crops)
        with turn("classify"):
            last_row, last_appearances = self._last
            if batch.stretches:
                frame = batch.stretches[-1].frames[-1]
                faces = batch.faces_by_frame[frame.index]
                self._last = (frame, faces), {face: appearances[face] for face in faces}
        appearances.update(last_appearances)
        paths = _paths_of_batch(batch, last_row)
        for classifier in self._classifiers:
            self._fill_paths(classifier, paths, appearances, kept_crops)

    def _fill_paths(
        self,
        classifier: Classifier,
        paths: list[_Path],
        appearances: dict[PendingFace, Appearance],
        crops: Crops,
    ) -> None:
        ends = (end for path in paths for end in (path[0], path[-1]))
        self._classify_new(classifier, ends, crops)
        while paths := [path for path in paths if len(path) > 2]:
            halves: list[_Path] = []
            for path in paths:
                if self._is_settled(path, classifier.heads, appearances):
                    _interpolate(path, classifier.heads)
                else:
                    middle = len(path) // 2
                    halves += [path[: middle + 1], path[middle:]]
            self._classify_new(classifier, (path[0] for path in halves), crops)
            paths = halves

    def _classify_new(
        self, classifier: Classifier, faces: Iterable[PendingFace], crops: Crops
    ) -> None:
        """Classify those of the faces that this classifier has not seen yet."""
        head = next(iter(classifier.heads))
        new = list(dict.fromkeys(face for face in faces if head not in face.opinion))
        if new:
            new.sort(key=lambda face: face.frame.index)  # the faces of a frame are cropped together
            self._classify_stage.classify_faces(classifier, new, crops)

    def _is_settled(
        self, path: _Path, heads: Iterable[str], appearances: dict[PendingFace, Appearance]
    ) -> bool:
        """Whether the faces between both ends of a path must have the same labels as these."""
        change = PER_CHANGE * _max_change([appearances[face] for face in path])
        for head in heads:
            before, after = path[0].opinion[head], path[-1].opinion[head]
            threshold = self._unsure_below.get(head, 0.0)
            label, margin = label_and_margin(before, threshold)
            label_after, margin_after = label_and_margin(after, threshold)
            moved = PER_PROBABILITY * float(np.abs(before - after).max())
            if label != label_after or min(margin, margin_after) < moved + change:
                return False
        return True


def appearance_of(crop_bgr: Picture) -> Appearance:
    """Return a small normalised version of a face's crop, to compare with others."""
    small = cv2.resize(crop_bgr, (_APPEARANCE_SIDE, _APPEARANCE_SIDE), interpolation=cv2.INTER_AREA)
    gray = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
    return np.asarray(gray / max(_MIN_CONTRAST, float(gray.std())), np.float32)


def label_and_margin(probabilities: NDArray[np.float32], unsure_below: float) -> tuple[int, float]:
    """Return the most likely label (-1: unsure), and how far the probabilities are from another."""
    best = int(np.argmax(probabilities))
    highest = float(probabilities[best])
    if highest < unsure_below:
        return -1, unsure_below - highest
    others = np.delete(probabilities, best)
    return best, min(highest - float(others.max(initial=0.0)), highest - unsure_below)


def _paths_of_batch(batch: Batch, last: _Row | None) -> list[_Path]:
    """The paths of all faces through each of the batch's stretches."""
    paths: list[_Path] = []
    before = last
    for stretch in batch.stretches:
        rows: list[_Row] = [(frame, batch.faces_by_frame[frame.index]) for frame in stretch.frames]
        if before is not None and not stretch.is_independent:
            rows.insert(0, before)
        paths += _paths(rows)
        before = rows[-1]
    return paths


def _paths(rows: Sequence[_Row]) -> list[_Path]:
    """The path of each face through a stretch.

    It can't be taken from the item's tracks: these may have begun in an earlier part of the video,
    and opinions must not depend on how the video was cut.
    """
    tracker = OverlapTracker()
    paths: dict[int, _Path] = {}
    for frame, faces in rows:
        boxes = np.array([face.box_xyxy for face in faces], np.float64)
        numbers = tracker.link(frame.time_ms, boxes, begins_scene=False)
        for face, number in zip(faces, numbers, strict=True):
            paths.setdefault(number, []).append(face)
    return list(paths.values())


def _max_change(appearances: Sequence[Appearance]) -> float:
    """The largest mean difference between a face and the end of the path that is more like it."""
    first, *between, last = appearances
    return max(
        min(float(np.abs(each - first).mean()), float(np.abs(each - last).mean()))
        for each in between
    )


def _interpolate(path: _Path, heads: Iterable[str]) -> None:
    """Fill in the opinions between both ends of a path."""
    first, *between, last = path
    elapsed = last.frame.time_ms - first.frame.time_ms
    for face in between:
        passed = face.frame.time_ms - first.frame.time_ms
        fraction = np.float32(passed / elapsed if elapsed else 0.0)
        for head in heads:
            before, after = first.opinion[head], last.opinion[head]
            face.opinion[head] = before * (1 - fraction) + after * fraction
