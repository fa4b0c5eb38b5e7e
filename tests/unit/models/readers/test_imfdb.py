"""IMFDB as its archive has it: ACTOR/FILM/FILM.txt beside ACTOR/FILM/images."""

from __future__ import annotations

from pathlib import Path

import pytest

from faces_jobs_models.training.readers.imfdb import parse_row
from tests.unit.models.readers.drawn import open_only_set, true_labels, write_face

HEADS = ("gender", "illumination", "pose", "occlusion", "age", "makeup")
ROW = (
    "Some_Film_Full_movie\t00750.jpg\tAnn_1.jpg\t312\t57\t49\t67\tSomefilm\t14-01-2010\tAnn\t"
    "FEMALE\tSADNESS\tNONE\tBAD\tYOUNG\tFRONTAL\tPARTIAL"
)
LABELS = ["female", "bad", "frontal", "none", "young", "partial"]


def write_film(folder: Path, *rows: str, end: str = "\n", pictures: int = 3) -> Path:
    """`folder` is ACTOR/FILM."""
    for index in range(1, pictures + 1):
        write_face(folder / "images" / f"Ann_{index}.jpg", index)
    text = end + end.join(rows) + end  # the real files begin with an empty line
    (folder / f"{folder.name}.txt").write_bytes(text.encode("latin-1"))
    return folder


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(ROW, id="tabs"),
        pytest.param(ROW.replace("\t", " "), id="spaces"),
        pytest.param(ROW + "\t", id="a tab at the end"),
        pytest.param(ROW.replace("BAD\tYOUNG\tFRONTAL", "YOUNG\tFRONTAL\tBAD"), id="another order"),
        pytest.param(
            ROW.replace("FEMALE\tSADNESS\t", "").replace("PARTIAL", "PARTIAL\tFEMALE\tSADNESS"),
            id="gender at the end",
        ),
        pytest.param(ROW.replace("Somefilm", "High"), id="a film called like a label"),
        pytest.param(ROW.replace("00750.jpg\tAnn_1.jpg", "Ann_1.jpg\t00750.jpg"), id="frame last"),
        pytest.param(ROW.replace("\t312\t57\t49\t67", ""), id="no place"),
        pytest.param(ROW.lower().replace("ann_1.jpg", "Ann_1.jpg"), id="small letters"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_are_read_however_they_are_written(tmp_path: Path, row: str, end: str) -> None:
    write_film(tmp_path / "IMFDB_final" / "Ann" / "SomeFilm", row, end=end)
    one, samples, skipped = open_only_set(tmp_path)
    assert one.name == "imfdb"
    assert [true_labels(samples, head) for head in HEADS] == [[label] for label in LABELS]
    assert not skipped
    assert samples[0].groups == {"gender": "female", "age": "young"}
    assert "expression" not in samples[0].targets


def test_the_height_of_the_face_is_told(tmp_path: Path) -> None:
    write_film(tmp_path / "Ann" / "SomeFilm", ROW)
    _, (sample,), _ = open_only_set(tmp_path)
    assert sample.size_px == 67
    assert sample.group == "Ann"


def test_short_rows_keep_what_they_say(tmp_path: Path) -> None:
    write_film(
        tmp_path / "Ann" / "SomeFilm", ROW, ROW.replace("Ann_1", "Ann_2").removesuffix("\tPARTIAL")
    )
    _, samples, skipped = open_only_set(tmp_path)
    assert true_labels(samples, "pose") == ["frontal", "frontal"]
    assert true_labels(samples, "makeup") == ["partial", None]
    assert skipped == {"imfdb makeup None": 1}


def test_a_misspelt_label_is_counted_and_not_guessed(tmp_path: Path) -> None:
    row = ROW.replace("FRONTAL", "FRONTL").replace("2010\tAnn", "2010\tLeft")
    write_film(tmp_path / "Ann" / "SomeFilm", row)
    _, samples, skipped = open_only_set(tmp_path)
    assert true_labels(samples, "pose") == [None]
    assert true_labels(samples, "age") == ["young"]
    assert skipped == {"imfdb unknown label 'frontl'": 1, "imfdb pose None": 1}


def test_what_stands_there_twice_counts_once_and_contradictions_not_at_all(tmp_path: Path) -> None:
    second, third = (ROW.replace("Ann_1", name) for name in ("Ann_2", "Ann_3"))
    write_film(
        tmp_path / "Ann" / "SomeFilm",
        ROW, ROW, second, second.replace("FRONTAL", "LEFT"), third,
    )  # fmt: skip
    _, samples, skipped = open_only_set(tmp_path)
    assert len(samples) == 2
    assert skipped == {
        "imfdb duplicate row": 1,
        "imfdb picture with conflicting rows": 1,
    }


def test_rows_without_a_picture_are_counted(tmp_path: Path) -> None:
    write_film(
        tmp_path / "Ann" / "SomeFilm",
        ROW,
        ROW.replace("Ann_1", "Ann_9"),
        ROW.replace("Ann_1.jpg", "../../secret.jpg"),
        ROW.replace("Ann_1", 300 * "n"),
        "FEMALE SADNESS NONE",
    )
    write_face(tmp_path / "Ann" / "secret.jpg")
    _, samples, skipped = open_only_set(tmp_path)
    assert len(samples) == 1
    assert skipped == {
        "imfdb missing picture": 2,
        "imfdb unreadable picture": 1,  # no file can have so long a name
        "imfdb row without a picture name": 1,
    }


def test_all_films_of_an_actor_are_on_one_side(tmp_path: Path) -> None:
    for actor in ("Ali", "Madhavan"):
        for film in ("First", "Second"):
            write_film(tmp_path / actor / film, ROW)
    _, samples, _ = open_only_set(tmp_path)
    assert [sample.held_out for sample in samples] == [False, False, True, True]
    for path, count in ((tmp_path / "Madhavan", 2), (tmp_path / "Madhavan" / "First", 1)):
        _, samples, _ = open_only_set(path)
        assert [sample.held_out for sample in samples] == [True] * count


def test_a_row_without_a_picture_is_none() -> None:
    assert parse_row("a\tb\tMALE", frozenset()) is None
