"""IMDB and WIKI as their archives have them: a struct in imdb.mat beside folders of crops."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.errors import DataLayoutError
from faces_jobs_models.training.readers import open_data
from faces_jobs_models.training.readers.imdb_wiki import age_at
from tests.unit.models.readers.drawn import open_only_set, true_labels, write_face

NAN = float("nan")


def serial(year: int, month: int, day: int) -> float:
    """MATLAB's datenum: 1 is the first of January of the year 0."""
    return date(year, month, day).toordinal() + 366.0


def cells(values: list[Any]) -> np.ndarray[Any, np.dtype[np.object_]]:
    array = np.empty((1, len(values)), object)
    array[0] = values
    return array


def write_mat(folder: Path, name: str, rows: list[dict[str, Any]], *, celebrities: bool) -> None:
    """Each row's `path` and what differs from a good row."""
    good = {
        "dob": serial(1980, 3, 1), "photo_taken": 2010, "gender": 1.0, "face_score": 3.5,
        "second_face_score": NAN, "name": "Ann", "celeb_id": 7.0,
    }  # fmt: skip
    full = [good | row for row in rows]
    struct: dict[str, Any] = {
        "dob": np.array([[row["dob"] for row in full]]),
        "photo_taken": np.array([[row["photo_taken"] for row in full]], np.uint16),
        "full_path": cells([row["path"] for row in full]),
        "gender": np.array([[row["gender"] for row in full]]),
        "name": cells([row["name"] for row in full]),
        "face_location": cells([np.array([[1.0, 1.0, 40.0, 40.0]]) for _ in full]),
        "face_score": np.array([[row["face_score"] for row in full]]),
        "second_face_score": np.array([[row["second_face_score"] for row in full]]),
    }
    if celebrities:
        struct["celeb_names"] = cells(["Ann", "Bob"])
        struct["celeb_id"] = np.array([[row["celeb_id"] for row in full]])
    folder.mkdir(parents=True, exist_ok=True)
    for index, row in enumerate(full):
        if "there" not in row:
            write_face(folder / str(row["path"]), index)
    scipy.io.savemat(folder / f"{name}.mat", {name: struct})


def test_age_and_gender_are_read(tmp_path: Path) -> None:
    write_mat(
        tmp_path / "imdb_crop", "imdb",
        [
            {"path": "01/nm1_rm1_1980-3-1_2010.jpg"},
            {"path": "02/nm2_rm2_2010-3-1_2010.jpg", "dob": serial(2010, 3, 1), "gender": 0.0},
        ],
        celebrities=True,
    )  # fmt: skip
    one, samples, skipped = open_only_set(tmp_path)
    assert one.name == "imdb"
    assert true_labels(samples, "gender") == ["male", "female"]
    assert true_labels(samples, "age") == ["young", "child"]
    assert samples[0].groups == {"gender": "male", "age": "young"}
    assert not skipped


def test_what_is_left_out_is_counted_by_reason(tmp_path: Path) -> None:
    write_mat(
        tmp_path, "wiki",
        [
            {"path": "00/1.jpg", "face_score": -np.inf},
            {"path": "00/2.jpg", "second_face_score": 2.0},
            {"path": "00/3.jpg", "dob": 0.0},
            {"path": "00/4.jpg", "dob": serial(1909, 3, 1)},
            {"path": "00/5.jpg", "dob": serial(2012, 1, 1)},
            {"path": "00/6.jpg", "there": False},
            {"path": "../7.jpg"},
            {"path": "00/8.jpg", "gender": NAN},
            {"path": "00/9.jpg", "name": np.array([[NAN]])},
        ],
        celebrities=False,
    )  # fmt: skip
    one, samples, skipped = open_only_set(tmp_path / "wiki.mat")
    assert one.name == "wiki"
    assert true_labels(samples, "gender") == [None, "male"]
    assert true_labels(samples, "age") == ["young", "young"]
    assert skipped == {
        "wiki no face": 1,
        "wiki several faces": 1,
        "wiki bad date": 1,
        "wiki age outside 0..100": 2,
        "wiki missing picture": 2,
        "wiki gender nan": 1,
    }


@pytest.mark.parametrize(("name", "key"), [("imdb", "celeb_id"), ("wiki", "name")])
def test_a_person_is_on_one_side(tmp_path: Path, name: str, key: str) -> None:
    people: list[Any] = [float(one) if key == "celeb_id" else f"P{one}" for one in range(40)]
    rows = [
        {"path": f"00/{person}_{time}.jpg", key: person} for person in people for time in range(2)
    ]
    write_mat(tmp_path, name, rows, celebrities=name == "imdb")
    _, samples, _ = open_only_set(tmp_path)
    first, second = samples[::2], samples[1::2]
    assert [one.group for one in first] == [one.group for one in second]
    assert [one.held_out for one in first] == [one.held_out for one in second]
    assert {one.held_out for one in first} == {True, False}


def test_both_may_lie_in_one_folder(tmp_path: Path) -> None:
    for name in ("imdb", "wiki"):
        write_mat(
            tmp_path / f"{name}_crop", name, [{"path": "00/1.jpg"}], celebrities=name == "imdb"
        )
    sets = open_data(tmp_path, skipped=Counter())
    assert [one.name for one in sets] == ["imdb", "wiki"]


@pytest.mark.parametrize("content", [b"", b"MATLAB 7.3 MAT-file" + bytes(200), b"x" * 500])
def test_another_file_of_the_name_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "imdb.mat").write_bytes(content)
    with pytest.raises(DataLayoutError, match=r"imdb\.mat is not a MATLAB file"):
        open_only_set(tmp_path)


def test_a_struct_without_the_fields_is_told(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "imdb.mat", {"imdb": {"dob": np.zeros((1, 2))}})
    with pytest.raises(DataLayoutError, match="second_face_score"):
        open_only_set(tmp_path)


def test_columns_of_unequal_length_are_told(tmp_path: Path) -> None:
    struct: dict[str, Any] = {
        field: np.zeros((1, 2))
        for field in ("dob", "photo_taken", "gender", "face_score", "second_face_score")
    }
    struct["full_path"] = cells(["1.jpg", "2.jpg", "3.jpg"])
    scipy.io.savemat(tmp_path / "imdb.mat", {"imdb": struct})
    with pytest.raises(DataLayoutError, match=r"dob, photo_taken.* differ in length"):
        open_only_set(tmp_path)


def test_a_column_of_texts_instead_of_numbers_is_told(tmp_path: Path) -> None:
    struct: dict[str, Any] = {
        field: np.zeros((1, 2))
        for field in ("dob", "photo_taken", "face_score", "second_face_score")
    }
    struct |= {"full_path": cells(["1.jpg", "2.jpg"]), "gender": cells(["f", "m"])}
    scipy.io.savemat(tmp_path / "imdb.mat", {"imdb": struct})
    with pytest.raises(DataLayoutError, match=r"imdb\.mat is not a MATLAB file .* of the fields"):
        open_only_set(tmp_path)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_file_that_was_cut_off_is_told(*, tmp_path: Path, kept: float, compressed: bool) -> None:
    write_mat(tmp_path, "wiki", [{"path": f"00/{row}.jpg"} for row in range(9)], celebrities=False)
    file = tmp_path / "wiki.mat"
    if compressed:
        struct = scipy.io.loadmat(file, variable_names=["wiki"])["wiki"]
        scipy.io.savemat(file, {"wiki": struct}, do_compression=True)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(DataLayoutError, match=r"wiki\.mat is damaged: download it again"):
        open_only_set(file)


@given(st.dates(min_value=date(1850, 1, 1), max_value=date(2015, 12, 31)), st.integers(1850, 2016))
def test_ages_are_full_years_in_the_middle_of_the_year(born: date, taken: int) -> None:
    birthday_to_come = (born.month, born.day) > (7, 1)
    assert age_at(serial(born.year, born.month, born.day), taken) == (
        taken - born.year - birthday_to_come
    )


@given(st.floats(), st.floats())
def test_any_pair_of_numbers_is_an_age_or_no_date(born: float, taken: float) -> None:
    assert isinstance(age_at(born, taken), int | None)
