"""Folders that hold one layout, several, the same twice, or none."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from faces_jobs.errors import DataLayoutError
from faces_jobs_models.training.readers import open_data, open_detection_data
from tests.unit.models.packs import write_packs
from tests.unit.models.readers.drawn import draw

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
    draw(folder / "26_0_1_20170116154530124.jpg.chip.jpg")


def test_a_folder_may_hold_several_layouts(tmp_path: Path) -> None:
    write_packs(tmp_path, rows=3)
    draw(tmp_path / "deeper" / "jaffe" / "KA.AN1.39.tiff")
    draw(tmp_path / "masks" / "with_mask" / "1.png")
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
    draw(tmp_path / "set" / "images" / "a.jpg")
    (tmp_path / "set" / "labels.txt").write_text("a.jpg 1 2 3 4 cat\n")
    with pytest.raises(DataLayoutError):
        open_data(tmp_path, skipped=Counter())


def test_hidden_files_are_not_looked_at(tmp_path: Path) -> None:
    write_utkface(tmp_path)
    (tmp_path / "._27_0_1_20170116154530124.jpg.chip.jpg").write_bytes(b"")
    (one,) = open_data(tmp_path, skipped=Counter())
    assert len(list(one)) == 1
