"""IMFDB in its official layout: ACTOR/FILM/FILM.txt next to ACTOR/FILM/images.

S. Setty et al.: "Indian Movie Face Database: A Benchmark for Face Recognition Under Wide
Variations", NCVPRIPG 2013. A row names the frame, the crop and its box, film, year and actor, and
ends with seven labels. Columns are separated by tabs or spaces; some rows have their labels in
another order or lack a few. Labels are assigned by their words, since no two heads share one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from faces_jobs.jobs.labels import HEADS
from faces_jobs_models.training.label_choice import LabelChoice
from faces_jobs_models.training.readers.data_set import DataSet, Skipped
from faces_jobs_models.training.readers.labels import Labels
from faces_jobs_models.training.readers.places import Place, is_picture, read_picture
from faces_jobs_models.training.readers.samples import Sample
from faces_jobs_models.training.readers.splits import actor_held_out

LAYOUT = "IMFDB: ACTOR/FILM/FILM.txt next to ACTOR/FILM/images/"
_NAME = "imfdb"
_IMAGES = "images"
_HEADS = ("gender", "illumination", "pose", "occlusion", "age", "makeup")
_HEAD_OF = {label: head for head in (*_HEADS, "expression") for label in HEADS[head]}
_MAX_LABELS = 7  # of a row
_MIN_LABELS = 3  # of one of the first rows, for the layout to be recognised
_ROWS_CHECKED = 20


@dataclass(frozen=True, slots=True)
class _Row:
    picture: str
    words: tuple[str, ...]  # possible labels
    height: int | None


def open_imfdb(place: Place, labels: LabelChoice, skipped: Skipped) -> list[DataSet]:  # noqa: ARG001 - one signature for all layouts
    """Open the films in the folder of the set, of an actor or of a film."""
    films = _films(place)
    if not films:
        return []
    inside = (film.path.relative_to(place.path).parts for film in films)
    own = frozenset(parts[0] if parts else _IMAGES for parts in inside)
    return [DataSet(_NAME, _NAME, place.path, None, lambda: _read(films, skipped), own_folders=own)]


def _films(place: Place) -> list[Place]:
    if _is_film(place):
        return [place]
    films = []
    for name in place.folders:
        child = place.child(name)
        if _is_film(child):
            films.append(child)
            continue
        films += [film for film in map(child.child, child.folders) if _is_film(film)]
    return films


def _is_film(place: Place) -> bool:
    if _IMAGES not in place.folders:
        return False
    for name in place.files:
        if name.lower().endswith(".txt"):
            with (place.path / name).open(encoding="utf-8-sig", errors="replace") as file:
                first = [parse_row(line, frozenset()) for line in islice(file, _ROWS_CHECKED)]
            # Other data sets have a folder `images`, too: the rows must have labels.
            if any(row is not None and len(_labels_by_head(row)) >= _MIN_LABELS for row in first):
                return True
    return False


def _read(films: list[Place], skipped: Skipped) -> Iterator[Sample]:
    for film in films:
        actor = film.path.resolve().parent.name
        for row in _rows_of_film(film, skipped):
            image = read_picture(film.path / _IMAGES, row.picture, _NAME, skipped)
            sample = None if image is None else _sample(image, row, actor, skipped)
            if sample is not None:
                yield sample


def _rows_of_film(film: Place, skipped: Skipped) -> Iterator[_Row]:
    """Yield the rows of a film. Pictures with conflicting rows are skipped."""
    rows: dict[str, set[_Row]] = {}
    pictures = frozenset(film.child(_IMAGES).files)
    for name in film.files:
        if not name.lower().endswith(".txt"):
            continue
        text = (film.path / name).read_text(encoding="utf-8-sig", errors="replace")
        for line in text.splitlines():
            if not line.strip():
                continue
            row = parse_row(line, pictures)
            if row is None:
                skipped[f"{_NAME} row without a picture name"] += 1
                continue
            if row in rows.get(row.picture, ()):
                skipped[f"{_NAME} duplicate row"] += 1
            rows.setdefault(row.picture, set()).add(row)
    for of_picture in rows.values():
        if len(of_picture) > 1:
            skipped[f"{_NAME} picture with conflicting rows"] += 1
        else:
            yield from of_picture


def parse_row(line: str, pictures: frozenset[str]) -> _Row | None:
    """Parse a line; return None if it names no picture.

    Args:
        line: its columns are separated by tabs or, if there are none, by spaces.
        pictures: names of the existing crops, to distinguish the crop from the frame.
    """
    parts = [part.strip() for part in (line.split("\t") if "\t" in line else line.split())]
    parts = [part for part in parts if part]
    names = [index for index, part in enumerate(parts) if is_picture(part)]
    if not names:
        return None
    crop = next((index for index in reversed(names) if parts[index] in pictures), names[-1])
    rest = parts[crop + 1 :]
    box = rest[:4]
    has_box = all(number.isdecimal() for number in box) and len(box) == 4
    # Film and actor precede the labels, and a film's title may be a label.
    words = tuple(part.lower() for part in rest[4 if has_box else 0 :][-_MAX_LABELS:])
    return _Row(parts[crop], words, int(box[3]) if has_box else None)


def _labels_by_head(row: _Row) -> dict[str, str]:
    """Return head -> label. The last word of a head counts, since labels are at the end."""
    return {_HEAD_OF[word]: word for word in row.words if word in _HEAD_OF}


def _sample(image: bytes, row: _Row, actor: str, skipped: Skipped) -> Sample | None:
    labels = Labels(_NAME, skipped)
    by_head = _labels_by_head(row)
    first = next((index for index, word in enumerate(row.words) if word in _HEAD_OF), 0)
    for word in row.words[first:]:
        if word not in _HEAD_OF:
            skipped[f"{_NAME} unknown label {word!r}"] += 1
    for head in _HEADS:  # without expression, whose labels are too noisy
        labels.add(head, by_head.get(head))
    return labels.sample(image, held_out=actor_held_out(actor), group=actor, size_px=row.height)
