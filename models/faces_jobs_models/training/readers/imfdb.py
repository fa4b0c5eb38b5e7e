"""IMFDB in its official layout: ACTOR/FILM/FILM.txt beside ACTOR/FILM/images.

S. Setty et al.: "Indian Movie Face Database: A Benchmark for Face Recognition Under Wide
Variations", NCVPRIPG 2013. A row names the frame, the crop, its place, film, year and actor, and
ends with seven labels. Rows are separated by tabs or spaces, some have their labels in another
order and some lack a few: the words tell which label is which, since no two heads share one.
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
from faces_jobs_models.training.readers.splits import actor_held_out
from faces_jobs_models.training.samples import Sample

LAYOUT = "IMFDB: ACTOR/FILM/FILM.txt beside ACTOR/FILM/images/"
_NAME = "imfdb"
_IMAGES = "images"
_HEADS = ("gender", "illumination", "pose", "occlusion", "age", "makeup")
_HEAD_OF = {label: head for head in (*_HEADS, "expression") for label in HEADS[head]}
_LABELS_A_ROW = 7
_FEWEST = 3  # labels in one of the first lines, to tell the layout
_LOOKED_AT = 20


@dataclass(frozen=True, slots=True)
class _Row:
    picture: str
    words: tuple[str, ...]  # what may be labels
    height: int | None


def open_imfdb(place: Place, labels: LabelChoice, skipped: Skipped) -> list[DataSet]:  # noqa: ARG001 - one signature for all layouts
    """The films below the folder of the set, of an actor or of a film."""
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
            with (place.path / name).open(encoding="utf-8", errors="replace") as file:
                first = [parse_row(line, frozenset()) for line in islice(file, _LOOKED_AT)]
            # Other sets have folders called images too: the rows must have labels.
            if any(row is not None and len(_labels(row)) >= _FEWEST for row in first):
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
    """The film's rows. A picture that has two with other labels is of no use."""
    rows: dict[str, set[_Row]] = {}
    pictures = frozenset(film.child(_IMAGES).files)
    for name in film.files:
        if not name.lower().endswith(".txt"):
            continue
        text = (film.path / name).read_text(encoding="utf-8", errors="replace")
        for line in text.splitlines():
            if not line.strip():
                continue
            row = parse_row(line, pictures)
            if row is None:
                skipped[f"{_NAME} row that names no picture"] += 1
                continue
            if row in rows.get(row.picture, ()):
                skipped[f"{_NAME} row that stands there twice"] += 1
            rows.setdefault(row.picture, set()).add(row)
    for told in rows.values():
        if len(told) > 1:
            skipped[f"{_NAME} picture with two rows of other labels"] += 1
        else:
            yield from told


def parse_row(line: str, pictures: frozenset[str]) -> _Row | None:
    """One line, or None where it names no picture.

    Args:
        line: with tabs or, where it has none, with spaces between its parts.
        pictures: names of the crops that are there, to tell them from the name of the frame.
    """
    parts = [part.strip() for part in (line.split("\t") if "\t" in line else line.split())]
    parts = [part for part in parts if part]
    named = [place for place, part in enumerate(parts) if is_picture(part)]
    if not named:
        return None
    at = next((place for place in reversed(named) if parts[place] in pictures), named[-1])
    rest = parts[at + 1 :]
    numbers = rest[:4]
    places = all(number.isdecimal() for number in numbers) and len(numbers) == 4
    # Film and actor stand before the labels, and a film may be called like a label.
    words = tuple(part.lower() for part in rest[4 if places else 0 :][-_LABELS_A_ROW:])
    return _Row(parts[at], words, int(numbers[3]) if places else None)


def _labels(row: _Row) -> dict[str, str]:
    """Head -> label. The last word of a head counts, since labels stand at the end."""
    return {_HEAD_OF[word]: word for word in row.words if word in _HEAD_OF}


def _sample(image: bytes, row: _Row, actor: str, skipped: Skipped) -> Sample | None:
    said = Labels(_NAME, skipped)
    # The expressions are known words, but too noisy to use.
    labels = _labels(row)
    first = next((place for place, word in enumerate(row.words) if word in _HEAD_OF), 0)
    for word in row.words[first:]:
        if word not in _HEAD_OF:
            skipped[f"{_NAME} unknown label {word!r}"] += 1
    for head in _HEADS:
        said.add(head, labels.get(head))
    return said.sample(image, held_out=actor_held_out(actor), group=actor, size_px=row.height)
