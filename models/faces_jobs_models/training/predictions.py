"""What a classifier says of every labelled face of a data set, cut and asked as at run time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.mirrored import Mirrored
from faces_jobs.pipeline.stages import Classifier, Detector
from faces_jobs.pipeline.values import Picture
from faces_jobs_models.training.decoding import decode
from faces_jobs_models.training.folds import NO_FOLD, fold_of
from faces_jobs_models.training.samples import UNKNOWN, Sample
from faces_jobs_models.training.subsample import subsample
from faces_jobs_models.training.target_face import crop_target_faces

FACE_SIZES = (16, 24, 32, 48, 64)
"""Pixels: each face is also measured when it is brought down to at most these heights."""

_BATCH = 32

Advance = Callable[[int], None]
"""Takes the number of faces that were done since it was called last."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Predictions:
    """Truth and answers of n faces, in the order of the data set.

    `views` head -> (2, n, labels) float32, what is said of the crops and of their mirror images;
    `at_size` face height -> head -> (n,) best label of the face brought down to it; `truth` head ->
    (n,) with -1 where unknown; `fold` (n,) of people (`folds.py`), or `NO_FOLD` where no
    temperature was fitted on the face; `found` (n,) whether the detector saw it; `group` n names,
    the same for faces of one person; `size_px` (n,) height of the original face, 0 where unknown;
    `of_training` how many of the faces are ones that training uses.
    """

    data_set: str
    views: Mapping[str, NDArray[np.float32]]
    at_size: Mapping[int, Mapping[str, NDArray[np.int64]]]
    truth: Mapping[str, NDArray[np.int64]]
    fold: NDArray[np.int64]
    found: NDArray[np.bool_]
    group: NDArray[np.str_]
    groups: Sequence[Mapping[str, str]]
    size_px: NDArray[np.int64]
    of_training: int
    skipped: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.fold)

    def probabilities(self, head: str) -> NDArray[np.float32]:
        """(n, labels), as users see them: the mean of the views."""
        return np.asarray(self.views[head].mean(axis=0), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which faces of a data set are measured.

    `trained_on` says that the model learnt from the data set's rows that are not held out.
    """

    trained_on: bool = False
    held_out_only: bool = False
    limit: int | None = None  # so many, drawn evenly with a fixed seed
    max_pixels: int = 100_000_000


@dataclass(frozen=True, slots=True)
class _Row:
    """`sample` lacks its picture once that was looked at: all of them may fill a disk."""

    sample: Sample
    of_training: bool
    fold: int


def predict_data_set(
    name: str,
    samples: Iterable[Sample],
    *,
    classifier: Mirrored,
    detector: Detector,
    selection: Selection,
    skipped: Counter[str],
    advance: Advance,
) -> Predictions:
    """Decode each picture, find its face, cut it as at run time, and ask the classifier.

    The face is searched as for training, not as by a job: see `find_target_boxes`.

    A picture in which no face is found is cut as a whole, and counted. Rows that know none of
    the classifier's heads are passed over.

    Args:
        name: of the data set.
        samples: its rows.
        classifier: the network with its heads, asked as about a still's faces.
        detector: the run-time one.
        selection: which rows.
        skipped: counts by reason the rows that can't be read; the reader of `samples` may
            count into it as well.
        advance: told of progress.
    """
    before = Counter(skipped)
    rows = _chosen(samples, tuple(classifier.heads), selection)
    parts = [_part([], [], [], classifier)]
    while batch := list(islice(rows, _BATCH)):
        readable, pictures = _decoded(batch, selection, skipped)
        crops, found = crop_target_faces(
            pictures, detector, scale=classifier.crop_scale, size=classifier.crop_size
        )
        parts.append(_part(readable, found, crops, classifier))
        advance(len(batch))
    return _answers(name, parts, skipped - before)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """The answers to one batch, as in `Answers`."""

    rows: Sequence[_Row]
    found: Sequence[bool]
    views: Mapping[str, NDArray[np.float32]]
    at_size: Mapping[int, Mapping[str, NDArray[np.int64]]]


def _part(
    rows: Sequence[_Row], found: Sequence[bool], crops: Sequence[Picture], classifier: Mirrored
) -> _Part:
    heads = classifier.heads
    views = [_stacked(view, heads) for view in classifier.views(crops)]
    return _Part(
        rows=[replace(row, sample=replace(row.sample, image=b"")) for row in rows],
        found=found,
        views={head: np.stack([view[head] for view in views]) for head in heads},
        at_size={
            size: _best(
                classifier.classify([downscaled(crop, size, classifier) for crop in crops]), heads
            )
            for size in FACE_SIZES
        },
    )


def _answers(name: str, parts: Sequence[_Part], skipped: Counter[str]) -> Predictions:
    rows = [row for part in parts for row in part.rows]
    heads = parts[0].views.keys()
    return Predictions(
        data_set=name,
        views={
            head: np.concatenate([part.views[head] for part in parts], axis=1) for head in heads
        },
        at_size={
            size: {
                head: np.concatenate([part.at_size[size][head] for part in parts]) for head in heads
            }
            for size in FACE_SIZES
        },
        truth={
            head: np.array([row.sample.truth.get(head, UNKNOWN) for row in rows], np.int64)
            for head in heads
        },
        fold=np.array([row.fold for row in rows], np.int64),
        found=np.array([found for part in parts for found in part.found], bool),
        group=np.array([row.sample.group for row in rows], np.str_),
        groups=[row.sample.groups for row in rows],
        size_px=np.array([row.sample.size_px or 0 for row in rows], np.int64),
        of_training=sum(row.of_training for row in rows),
        skipped=dict(skipped),
    )


def _decoded(
    batch: Sequence[_Row], selection: Selection, skipped: Counter[str]
) -> tuple[list[_Row], list[Picture]]:
    readable, pictures = [], []
    for row in batch:
        picture = decode(row.sample.image, max_pixels=selection.max_pixels, skipped=skipped)
        if picture is not None:
            readable.append(row)
            pictures.append(picture)
    return readable, pictures


def downscaled(crop: Picture, face_height: int, classifier: Classifier) -> Picture:
    """The crop as it would be had its face been at most `face_height` pixels high.

    A made-up size: real small faces are also noisier and more compressed.
    """
    side = max(1, round(face_height * classifier.crop_scale))
    if side >= classifier.crop_size:
        return crop
    small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    full = (classifier.crop_size, classifier.crop_size)
    return np.asarray(cv2.resize(small, full, interpolation=cv2.INTER_LINEAR), np.uint8)


def _chosen(
    samples: Iterable[Sample], heads: tuple[str, ...], selection: Selection
) -> Iterator[_Row]:
    rows = _measurable(samples, heads, selection)
    if selection.limit is None:
        return rows
    return iter(subsample(rows, selection.limit))


def _measurable(
    samples: Iterable[Sample], heads: tuple[str, ...], selection: Selection
) -> Iterator[_Row]:
    for sample in samples:
        of_training = selection.trained_on and not sample.held_out
        if selection.held_out_only and of_training:
            continue
        if any(sample.truth.get(head, UNKNOWN) != UNKNOWN for head in heads):
            is_fitted = selection.trained_on and sample.held_out
            yield _Row(sample, of_training, _fold(sample) if is_fitted else NO_FOLD)


def _fold(sample: Sample) -> int:
    return int(fold_of([sample.group])[0])


def _best(
    opinions: Sequence[Mapping[str, NDArray[np.float32]]],
    heads: Mapping[str, Sequence[str]],
) -> dict[str, NDArray[np.int64]]:
    stacked = _stacked(opinions, heads)
    return {head: probabilities.argmax(axis=1) for head, probabilities in stacked.items()}


def _stacked(
    opinions: Sequence[Mapping[str, NDArray[np.float32]]],
    heads: Mapping[str, Sequence[str]],
) -> dict[str, NDArray[np.float32]]:
    return {
        head: np.array([opinion[head] for opinion in opinions], np.float32).reshape(-1, len(labels))
        for head, labels in heads.items()
    }
