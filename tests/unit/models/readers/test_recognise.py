"""Folders that hold one layout, several, the same twice, or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from faces_jobs.errors import DataLayoutError
from faces_jobs_models.training.readers import (
    describe_skipped,
    open_data,
    open_detection_data,
)
from tests.unit.models.packs import write_packs
from tests.unit.models.readers.drawn import write_face

ROOT = Path(__file__).parents[4]
DOCS = (ROOT / "docs/labelled-pictures.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name",
    [
        "imdb",
        "wiki",
        "fer2013",
        "ferplus",
        "imfdb",
        "jaffe",
        "ckplus",
        "ckplus48",
        "utkface",
        "lfw",
        "facemask",
        "wider_faces",
    ],
)
def test_every_set_has_its_row_in_the_docs(name: str) -> None:
    rows = [line.split("|")[1] for line in DOCS.splitlines() if line.startswith("| `")]
    assert any(f"`{name}`" in row for row in rows)


def write_utkface(folder: Path) -> None:
    write_face(folder / "26_0_1_20170116154530124.jpg.chip.jpg")


def test_a_folder_may_hold_several_layouts(tmp_path: Path) -> None:
    write_packs(tmp_path, rows=3)
    write_face(tmp_path / "deeper" / "jaffe" / "KA.AN1.39.tiff")
    write_face(tmp_path / "masks" / "with_mask" / "1.png")
    (tmp_path / "masks" / "without_mask").mkdir()
    skipped: Counter[str] = Counter()
    sets = open_data(tmp_path, skipped=skipped)
    assert {one.name: one.layout for one in sets} == {
        "ckplus48": "parquet",
        "facemask": "parquet",
        "ferplus": "parquet",
        "imfdb": "parquet",
        "utkface": "parquet",
        "jaffe": "jaffe",
    }
    assert list(skipped) == [
        f"facemask again in {tmp_path / 'masks'} (read from {tmp_path / 'facemask.parquet'})"
    ]


def test_packs_beside_the_pictures_of_a_layout_are_found(tmp_path: Path) -> None:
    write_packs(tmp_path, rows=3)
    (tmp_path / "utkface.parquet").unlink()
    write_utkface(tmp_path)
    names = {one.name for one in open_data(tmp_path, skipped=Counter())}
    assert {"utkface", "imfdb"} <= names


def write_jaffe(folder: Path) -> None:
    write_face(folder / "KA.AN1.39.tiff")


def write_masks(folder: Path) -> None:
    write_face(folder / "with_mask" / "1.png")
    write_face(folder / "without_mask" / "2.png")


def write_sequences(folder: Path) -> None:
    for frame in (1, 2):
        write_face(folder / "cohn-kanade-images" / "S005" / "001" / f"S005_001_0000000{frame}.png")
    label = folder / "Emotion" / "S005" / "001" / "S005_001_00000002_emotion.txt"
    label.parent.mkdir(parents=True)
    label.write_text("3.0000000e+00")


def write_small_faces(folder: Path) -> None:
    write_face(folder / "anger" / "S010_004_00000017.png")


def write_people(folder: Path) -> None:
    write_face(folder / "Ann_One" / "Ann_One_0001.jpg")
    (folder / "female_names.txt").write_text("Ann_One")


def write_films(folder: Path) -> None:
    write_face(folder / "Ann" / "Film" / "images" / "Ann_1.jpg")
    row = "film 1.jpg Ann_1.jpg 1 2 30 40 Film 2010 Ann FEMALE SADNESS NONE BAD YOUNG FRONTAL OVER"
    (folder / "Ann" / "Film" / "Film.txt").write_text(row)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("utkface", lambda folder: write_face(folder / "part1" / "26_0_1_20170116154530124.jpg")),
        ("utkface", write_utkface),
        ("jaffe", write_jaffe),
        ("facemask", write_masks),
        ("ckplus", write_sequences),
        ("ckplus48", write_small_faces),
        ("lfw", write_people),
        ("imfdb", write_films),
    ],
)
def test_a_set_directly_in_a_folder_hides_none_beside_it(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    other, write_other = ("utkface", write_utkface) if name != "utkface" else ("jaffe", write_jaffe)
    write(tmp_path)
    (alone,) = open_data(tmp_path, skipped=Counter())
    read = [sample.image for sample in alone]
    write_other(tmp_path / "beside")
    skipped: Counter[str] = Counter()
    sets = {one.name: one for one in open_data(tmp_path, skipped=skipped)}
    assert sets.keys() == {name, other}
    assert [sample.image for sample in sets[name]] == read
    assert len(list(sets[other])) == 1
    assert not skipped  # neither is read twice, or misread for the other


def test_two_sets_may_lie_in_one_folder_without_folders_of_their_own(tmp_path: Path) -> None:
    write_masks(tmp_path)
    write_utkface(tmp_path)
    assert {one.name for one in open_data(tmp_path, skipped=Counter())} == {"facemask", "utkface"}


def test_no_known_layout_is_told_with_what_was_looked_for_and_found(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "c.txt", "d.txt", "e.txt", "f.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataLayoutError) as raised:
        open_data(tmp_path, skipped=Counter())
    said = str(raised.value)
    for looked_for in (
        "*.parquet", "imdb.mat", "fer2013.csv", "FILM.txt", "KA.AN1.39.tiff", "_emotion.txt",
        "26_1_0_20170116154530.jpg", "PERSON_0001.jpg", "with_mask",
    ):  # fmt: skip
        assert looked_for in said
    assert "Found: folder/, a.mp4, b.mp4, c.txt, d.txt and 2 more." in said


@pytest.mark.parametrize("opener", [open_data, open_detection_data])
def test_nothing_there_is_told(tmp_path: Path, opener: object) -> None:
    assert callable(opener)
    with pytest.raises(DataLayoutError, match="an empty folder"):
        opener(tmp_path, skipped=Counter())
    with pytest.raises(DataLayoutError, match="There is no"):
        opener(tmp_path / "gone", skipped=Counter())


def test_a_folder_of_pictures_with_notes_is_not_imfdb(tmp_path: Path) -> None:
    write_face(tmp_path / "set" / "images" / "a.jpg")
    (tmp_path / "set" / "labels.txt").write_text("a.jpg 1 2 3 4 cat\n")
    with pytest.raises(DataLayoutError):
        open_data(tmp_path, skipped=Counter())


def test_hidden_files_are_not_looked_at(tmp_path: Path) -> None:
    write_utkface(tmp_path)
    (tmp_path / "._27_0_1_20170116154530124.jpg.chip.jpg").write_bytes(b"")
    (one,) = open_data(tmp_path, skipped=Counter())
    assert len(list(one)) == 1


def test_rare_reasons_share_a_line() -> None:
    many = Counter({f"mine gender 'caption {number}'": 1 for number in range(100)})
    skipped = Counter({"mine missing picture": 5, "never": 0}) + many
    lines = describe_skipped(skipped)
    assert lines[0] == "skipped: 5 x mine missing picture"
    assert lines[-1] == "skipped: 71 x 71 other reasons"
    assert len(lines) == 31
    assert describe_skipped(Counter()) == []
