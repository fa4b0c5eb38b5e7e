"""CK+: the official trees of sequences and emotions, and the common folders of 48 x 48 faces.

P. Lucey et al.: "The Extended Cohn-Kanade Dataset (CK+): A complete dataset for action unit and
emotion-specified expression", CVPRW 2010. A sequence goes from a neutral face to the peak of an
expression, which its label names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from faces_jobs_models.training.label_choice import LabelChoice
from faces_jobs_models.training.readers.data_set import DataSet, Skipped
from faces_jobs_models.training.readers.labels import Labels, canonical_label
from faces_jobs_models.training.readers.places import Place, read_picture
from faces_jobs_models.training.readers.samples import Sample
from faces_jobs_models.training.readers.splits import subject_held_out

LAYOUT = (
    "CK+: cohn-kanade-images/S005/001/*.png next to Emotion/S005/001/*_emotion.txt, or folders "
    "anger, happy, ... of S010_004_00000019.png"
)
LABELLED_FRAMES = 3  # at the end of a sequence, as in the 48 x 48 form

_IMAGES = "cohn-kanade-images"
_EMOTIONS = ("Emotion", "Emotion_labels")
_EXPRESSIONS = (  # by number
    "neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise",
)  # fmt: skip
_SMALL_NAME = re.compile(r"(S\d{3})_\d{3}_\d{8}\.\w+")


def open_ckplus(place: Place, labels: LabelChoice, skipped: Skipped) -> list[DataSet]:  # noqa: ARG001 - one signature for all layouts
    """Open a folder that holds both trees, or the folders of expressions."""
    path = place.path
    emotions = next((name for name in _EMOTIONS if name in place.folders), None)
    if _IMAGES in place.folders and emotions is not None:
        return [
            DataSet(
                "ckplus", "ckplus", path, None,
                lambda: _read_sequences(path / _IMAGES, path / emotions, skipped),
                own_folders=frozenset({_IMAGES, *_EMOTIONS}),
            )
        ]  # fmt: skip
    if any(_is_small(place.child(name)) for name in place.folders if _is_expression(name)):
        # A folder with another name also belongs to the set if its pictures have such names.
        own = tuple(
            name for name in place.folders if _is_expression(name) or _is_small(place.child(name))
        )
        return [
            DataSet(
                "ckplus48", "ckplus48", path, None, lambda: _read_small(place, own, skipped),
                own_folders=frozenset(own),
            )
        ]  # fmt: skip
    return []


def _read_sequences(images: Path, emotions: Path, skipped: Skipped) -> Iterator[Sample]:
    """Yield the last three frames of every labelled sequence.

    The first frame is neutral by the design of the data set, but is not labelled so.

    Args:
        images: tree of subject / sequence / frames.
        emotions: the same tree, with at most one file per sequence, which holds a number.
        skipped: counts what was left out.
    """
    tree = Place.of(emotions)
    if _EMOTIONS[0] in tree.folders:  # the archive Emotion_labels.zip holds a folder Emotion
        tree = tree.child(_EMOTIONS[0])
    subjects = Place.of(images)
    for subject in subjects.folders:
        held_out = subject_held_out("ckplus", subject)
        for sequence in subjects.child(subject).folders:
            frames = Place.of(images / subject / sequence)
            label = _label(tree.path / subject / sequence, skipped)
            if label is None:
                continue
            names = frames.pictures()[1:][-LABELLED_FRAMES:]
            if not names:
                skipped["ckplus labelled sequence without frames, or with only the first"] += 1
            for name in names:
                labels = Labels("ckplus", skipped)
                labels.add("expression", label)
                image = read_picture(frames.path, name, "ckplus", skipped)
                sample = labels.sample(image, held_out=held_out, group=subject)
                if sample is not None:
                    yield sample


def _label(folder: Path, skipped: Skipped) -> str | None:
    files = [name for name in Place.of(folder).files if name.endswith("_emotion.txt")]
    if not files:
        skipped["ckplus sequence without a label"] += 1
        return None
    text = (folder / files[0]).read_text(encoding="utf-8-sig", errors="replace").strip()
    try:
        return _EXPRESSIONS[_parse_index(text)]
    except (ValueError, IndexError):
        skipped[f"ckplus expression {text!r}"] += 1
        return None


def _parse_index(text: str) -> int:
    """Parse a number like 3.0000000e+00; raises ValueError if it is not an index."""
    number = float(text)
    if not number.is_integer() or number < 0:
        raise ValueError(text)
    return int(number)


def _is_expression(name: str) -> bool:
    return name.lower() == "contempt" or canonical_label("expression", name) is not None


def _is_small(place: Place) -> bool:
    return any(_SMALL_NAME.fullmatch(name) for name in place.pictures())


def _read_small(place: Place, folders: tuple[str, ...], skipped: Skipped) -> Iterator[Sample]:
    for folder in folders:
        child = place.child(folder)
        for name in child.pictures():
            match = _SMALL_NAME.fullmatch(name)
            if match is None:
                skipped["ckplus48 malformed name"] += 1
                continue
            labels = Labels("ckplus48", skipped)
            labels.add("expression", folder)
            image = read_picture(child.path, name, "ckplus48", skipped)
            held_out = subject_held_out("ckplus", match[1])
            sample = labels.sample(image, held_out=held_out, group=match[1])
            if sample is not None:
                yield sample
