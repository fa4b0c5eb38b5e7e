"""Predictions of a classifier for the labelled faces of a data set, cropped as at run time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.mirrored import MirroredClassifier
from faces_jobs.pipeline.protocols import Classifier, Detector
from faces_jobs.pipeline.values import Picture
from faces_jobs_models.training.data.subsample import subsample
from faces_jobs_models.training.data.target_face import crop_target_faces
from faces_jobs_models.training.evaluation.folds import NO_FOLD, fold_of
from faces_jobs_models.training.readers.decoding import MAX_PIXELS, decode
from faces_jobs_models.training.readers.samples import UNKNOWN, Sample

FACE_SIZES = (16, 24, 32, 48, 64)
"""Heights in pixels: each face is also classified when scaled down to at most these."""

_BATCH_SIZE = 32

Advance = Callable[[int], None]
"""Called with the number of faces that were processed since the last call."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Predictions:
    """Truth and predictions of n faces, in the order of the data set.

    Attributes:
        data_set: its name.
        views: head -> (2, n, labels) float32, probabilities for the crops and for their mirror
            images.
        at_size: face height -> head -> (n,) most likely label of the face scaled down to it.
        truth: head -> (n,) label indices, -1 where unknown.
        fold: (n,) fold of the person (`folds.py`), or `NO_FOLD` if no temperature was fitted on the
            face.
        found: (n,) whether the face was detected.
        group: (n,) names, equal for faces of one person.
        groups: of each face, what figures can be broken down by.
        size_px: (n,) height of the face in the original picture, 0 where unknown.
        of_training: number of faces that the model was trained on.
        skipped: reason -> number of pictures that were skipped.
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
        """Return (n, labels) probabilities as users get them: the mean over the views."""
        return np.asarray(self.views[head].mean(axis=0), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which faces of a data set are evaluated.

    `trained_on` says that the model was trained on the rows that are not held out.
    """

    trained_on: bool = False
    held_out_only: bool = False
    limit: int | None = None  # maximum number of faces, sampled uniformly with a fixed seed
    max_pixels: int = MAX_PIXELS


@dataclass(frozen=True, slots=True)
class _Row:
    """A row to predict. Its sample loses the picture afterwards: all of them may not fit memory."""

    sample: Sample
    of_training: bool
    fold: int


def predict_data_set(
    name: str,
    samples: Iterable[Sample],
    *,
    classifier: MirroredClassifier,
    detector: Detector,
    selection: Selection,
    skipped: Counter[str],
    advance: Advance,
) -> Predictions:
    """Decode each picture, detect its face, crop it as at run time, and classify the crop.

    Faces are detected as for training, not as in a job: see `find_target_boxes`. If no face is
    detected, the whole picture is cropped, and counted. Rows without a truth for any of the
    classifier's heads are ignored.

    Args:
        name: of the data set.
        samples: its rows.
        classifier: the network with its heads, which also classifies mirror images, as for still
            images at run time.
        detector: the run-time detector.
        selection: which rows.
        skipped: counts rows that can't be read, by reason; the reader of `samples` may also count
            into it.
        advance: called after each batch.
    """
    before = Counter(skipped)
    rows = _select(samples, tuple(classifier.heads), selection)
    batches = [_predict_batch([], [], [], classifier)]
    while batch := list(islice(rows, _BATCH_SIZE)):
        readable, pictures = _decode_batch(batch, name, selection, skipped)
        crops, found = crop_target_faces(
            pictures, detector, scale=classifier.crop_scale, size=classifier.crop_size
        )
        batches.append(_predict_batch(readable, found, crops, classifier))
        advance(len(batch))
    return _concatenate(name, batches, skipped - before)


@dataclass(frozen=True, slots=True, eq=False)
class _BatchPredictions:
    """The predictions for one batch; fields as in `Predictions`."""

    rows: Sequence[_Row]
    found: Sequence[bool]
    views: Mapping[str, NDArray[np.float32]]
    at_size: Mapping[int, Mapping[str, NDArray[np.int64]]]


def _predict_batch(
    rows: Sequence[_Row],
    found: Sequence[bool],
    crops: Sequence[Picture],
    classifier: MirroredClassifier,
) -> _BatchPredictions:
    heads = classifier.heads
    views = [_stack(view, heads) for view in classifier.views(crops)]
    return _BatchPredictions(
        rows=[replace(row, sample=replace(row.sample, image=b"")) for row in rows],
        found=found,
        views={head: np.stack([view[head] for view in views]) for head in heads},
        at_size={
            size: _most_likely(
                classifier.classify([downscaled(crop, size, classifier) for crop in crops]), heads
            )
            for size in FACE_SIZES
        },
    )


def _concatenate(
    name: str, batches: Sequence[_BatchPredictions], skipped: Counter[str]
) -> Predictions:
    rows = [row for batch in batches for row in batch.rows]
    heads = batches[0].views.keys()
    return Predictions(
        data_set=name,
        views={
            head: np.concatenate([batch.views[head] for batch in batches], axis=1) for head in heads
        },
        at_size={
            size: {
                head: np.concatenate([batch.at_size[size][head] for batch in batches])
                for head in heads
            }
            for size in FACE_SIZES
        },
        truth={
            head: np.array([row.sample.truth.get(head, UNKNOWN) for row in rows], np.int64)
            for head in heads
        },
        fold=np.array([row.fold for row in rows], np.int64),
        found=np.array([found for batch in batches for found in batch.found], bool),
        group=np.array([row.sample.group for row in rows], np.str_),
        groups=[row.sample.groups for row in rows],
        size_px=np.array([row.sample.size_px or 0 for row in rows], np.int64),
        of_training=sum(row.of_training for row in rows),
        skipped=dict(skipped),
    )


def _decode_batch(
    batch: Sequence[_Row], name: str, selection: Selection, skipped: Counter[str]
) -> tuple[list[_Row], list[Picture]]:
    readable, pictures = [], []
    for row in batch:
        picture = decode(
            row.sample.image, skipped=skipped, source=name, max_pixels=selection.max_pixels
        )
        if picture is not None:
            readable.append(row)
            pictures.append(picture)
    return readable, pictures


def downscaled(crop: Picture, face_height: int, classifier: Classifier) -> Picture:
    """Return the crop as it would look if its face were at most `face_height` pixels high.

    This simulates resolution only: real small faces are also noisier and more compressed.
    """
    side = max(1, round(face_height * classifier.crop_scale))
    if side >= classifier.crop_size:
        return crop
    small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    full = (classifier.crop_size, classifier.crop_size)
    return np.asarray(cv2.resize(small, full, interpolation=cv2.INTER_LINEAR), np.uint8)


def _select(
    samples: Iterable[Sample], heads: tuple[str, ...], selection: Selection
) -> Iterator[_Row]:
    rows = _rows_with_truth(samples, heads, selection)
    if selection.limit is None:
        return rows
    return iter(subsample(rows, selection.limit))


def _rows_with_truth(
    samples: Iterable[Sample], heads: tuple[str, ...], selection: Selection
) -> Iterator[_Row]:
    for sample in samples:
        of_training = selection.trained_on and not sample.held_out
        if selection.held_out_only and of_training:
            continue
        if any(sample.truth.get(head, UNKNOWN) != UNKNOWN for head in heads):
            is_fitted = selection.trained_on and sample.held_out
            fold = int(fold_of([sample.group])[0]) if is_fitted else NO_FOLD
            yield _Row(sample, of_training, fold)


def _most_likely(
    opinions: Sequence[Mapping[str, NDArray[np.float32]]],
    heads: Mapping[str, Sequence[str]],
) -> dict[str, NDArray[np.int64]]:
    stacked = _stack(opinions, heads)
    return {head: probabilities.argmax(axis=1) for head, probabilities in stacked.items()}


def _stack(
    opinions: Sequence[Mapping[str, NDArray[np.float32]]],
    heads: Mapping[str, Sequence[str]],
) -> dict[str, NDArray[np.float32]]:
    return {
        head: np.array([opinion[head] for opinion in opinions], np.float32).reshape(-1, len(labels))
        for head, labels in heads.items()
    }
