"""What a classifier says of every labelled face of a data set, cut and asked as at run time."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from types import MappingProxyType
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from faces_jobs.pipeline.crops import crop_faces
from faces_jobs.pipeline.stages import Classifier, Detector
from faces_jobs.pipeline.values import Picture
from faces_jobs_models.training.calibration import calibration_half
from faces_jobs_models.training.draws import draw
from faces_jobs_models.training.meant_face import find_boxes
from faces_jobs_models.training.samples import UNKNOWN, Sample

FACE_SIZES = (16, 24, 32, 48, 64)
"""Pixels: each face is also measured when it is brought down to at most these heights."""

_BATCH = 32

_Number = TypeVar("_Number", np.float32, np.int64)

Advance = Callable[[int], None]
"""Takes the number of faces that were done since it was called last."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Answers:
    """Truth and answers of n faces, in the order of the data set.

    `probabilities` head -> (n, labels) float32; `at_size` face height -> head -> (n,) best label
    of the face brought down to it; `truth` head -> (n,) with -1 where unknown; `fitted` (n,)
    whether a temperature may have been fitted on the face; `found` (n,) whether the detector saw
    it; `group` n names, the same for faces of one person; `size_px` (n,) height of the original
    face, 0 where unknown; `of_training` how many of the faces are ones that training uses.
    """

    data_set: str
    probabilities: Mapping[str, NDArray[np.float32]]
    at_size: Mapping[int, Mapping[str, NDArray[np.int64]]]
    truth: Mapping[str, NDArray[np.int64]]
    fitted: NDArray[np.bool_]
    found: NDArray[np.bool_]
    group: NDArray[np.str_]
    groups: Sequence[Mapping[str, str]]
    size_px: NDArray[np.int64]
    of_training: int
    skipped: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.fitted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
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
    fitted: bool


def answer_data_set(
    name: str,
    samples: Iterable[Sample],
    *,
    classifier: Classifier,
    detector: Detector,
    wanted: Wanted,
    skipped: Counter[str],
    advance: Advance,
) -> Answers:
    """Decode each picture, find its face, cut it as at run time, and ask the classifier.

    The face is searched as for training, not as by a job: see `find_boxes`.

    A picture in which no face is found is cut as a whole, and counted. Rows that know none of
    the classifier's heads are passed over.

    Args:
        name: of the data set.
        samples: its rows.
        classifier: the network with its heads.
        detector: the run-time one.
        wanted: which rows.
        skipped: counts by reason the rows that can't be read; the reader of `samples` may
            count into it as well.
        advance: told of progress.
    """
    before = Counter(skipped)
    rows = _chosen(samples, tuple(classifier.heads), wanted)
    kept: list[_Row] = []
    heads = classifier.heads
    said = [_stacked([], heads)]
    small = {size: [_best([], heads)] for size in FACE_SIZES}
    found: list[bool] = []
    while batch := list(islice(rows, _BATCH)):
        readable, pictures = [], []
        for row in batch:
            picture = decode(row.sample.image, max_pixels=wanted.max_pixels, skipped=skipped)
            if picture is not None:
                readable.append(row)
                pictures.append(picture)
        crops = []
        for picture, box in zip(pictures, find_boxes(pictures, detector), strict=True):
            height, width = picture.shape[:2]
            found.append(box is not None)
            cut = np.array([0, 0, width, height], np.float32) if box is None else box
            crops += crop_faces(
                picture, cut[None], scale=classifier.crop_scale, size=classifier.crop_size
            )
        kept += [replace(row, sample=replace(row.sample, image=b"")) for row in readable]
        said.append(_stacked(classifier.classify(crops), heads))
        for size in FACE_SIZES:
            smaller = [shrunk(crop, size, classifier) for crop in crops]
            small[size].append(_best(classifier.classify(smaller), heads))
        advance(len(batch))
    return Answers(
        data_set=name,
        probabilities=MappingProxyType(_joined(said)),
        at_size=MappingProxyType({size: _joined(answers) for size, answers in small.items()}),
        truth=MappingProxyType(
            {
                head: np.array([row.sample.truth.get(head, UNKNOWN) for row in kept], np.int64)
                for head in classifier.heads
            }
        ),
        fitted=np.array([row.fitted for row in kept], bool),
        found=np.array(found, bool),
        group=np.array([row.sample.group for row in kept], np.str_),
        groups=[row.sample.groups for row in kept],
        size_px=np.array([row.sample.size_px or 0 for row in kept], np.int64),
        of_training=sum(row.of_training for row in kept),
        skipped=MappingProxyType(dict(skipped - before)),
    )


def decode(image: bytes, *, max_pixels: int, skipped: Counter[str]) -> Picture | None:
    """An encoded picture as BGR, or None and a reason counted. Gray ones become BGR."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is below
        try:
            with Image.open(io.BytesIO(image)) as header:
                width, height = header.size
        except Image.DecompressionBombError:
            skipped[f"more than {max_pixels:,} pixels"] += 1
            return None
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
            skipped["unreadable picture"] += 1
            return None
    if width * height > max_pixels:
        skipped[f"more than {max_pixels:,} pixels"] += 1
        return None
    decoded = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        skipped["unreadable picture"] += 1
        return None
    return np.asarray(decoded, np.uint8)


def shrunk(crop: Picture, face_height: int, classifier: Classifier) -> Picture:
    """The crop as it would be had its face been at most `face_height` pixels high.

    A made-up size: real small faces are also noisier and more compressed.
    """
    side = max(1, round(face_height * classifier.crop_scale))
    if side >= classifier.crop_size:
        return crop
    small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    full = (classifier.crop_size, classifier.crop_size)
    return np.asarray(cv2.resize(small, full, interpolation=cv2.INTER_LINEAR), np.uint8)


def _chosen(samples: Iterable[Sample], heads: tuple[str, ...], wanted: Wanted) -> Iterator[_Row]:
    rows = _measurable(samples, heads, wanted)
    if wanted.limit is None:
        return rows
    return iter(draw(rows, wanted.limit))


def _measurable(
    samples: Iterable[Sample], heads: tuple[str, ...], wanted: Wanted
) -> Iterator[_Row]:
    for sample in samples:
        of_training = wanted.trained_on and not sample.held_out
        fitted = wanted.trained_on and sample.held_out and bool(calibration_half([sample.group])[0])
        if wanted.held_out_only and of_training:
            continue
        if any(sample.truth.get(head, UNKNOWN) != UNKNOWN for head in heads):
            yield _Row(sample, of_training, fitted)


def _joined(batches: Sequence[Mapping[str, NDArray[_Number]]]) -> dict[str, NDArray[_Number]]:
    return {head: np.concatenate([batch[head] for batch in batches]) for head in batches[0]}


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
