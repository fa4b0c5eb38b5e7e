"""WIDER FACE as its archives have it, and as a pack."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from faces_jobs.errors import DataLayoutError
from faces_jobs_models.training.readers import open_data, open_detection_data
from faces_jobs_models.training.readers.samples import is_held_out
from tests.unit.models.packs import drawn_face, write
from tests.unit.models.readers.drawn import write_face

BOXES = """0--Parade/0_Parade_marchingband_1_849.jpg
1
449 330 122 149 0 0 0 0 0 0
0--Parade/0_Parade_Parade_0_452.jpg
0
0 0 0 0 0 0 0 0 0 0
0--Parade/0_Parade_marchingband_1_799.jpg
3
78 221 7 8 2 0 0 0 0 0
78 238 14 17 2 0 0 1 0 0
113 212 0 15 2 0 0 0 0 0
"""


def write_official(folder: Path, boxes: str = BOXES, part: str = "train") -> Path:
    for line in BOXES.splitlines():
        if line.endswith(".jpg"):
            write_face(folder / f"WIDER_{part}" / "images" / line)
    path = folder / "wider_face_split" / f"wider_face_{part}_bbx_gt.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(boxes, encoding="utf-8-sig")  # as some editors save it
    return path


def test_boxes_are_corners_and_invalid_ones_ignored(tmp_path: Path) -> None:
    write_official(tmp_path)
    skipped: Counter[str] = Counter()
    (one,) = open_detection_data(tmp_path, skipped=skipped)
    assert one.name == "wider_faces"
    first, empty, crowd = list(one)
    np.testing.assert_array_equal(first.boxes_xyxy, [[449, 330, 571, 479]])
    assert empty.boxes_xyxy.shape == (0, 4)
    np.testing.assert_array_equal(crowd.boxes_xyxy, [[78, 221, 85, 229], [78, 238, 92, 255]])
    assert crowd.ignore.tolist() == [False, True]
    assert skipped == {"wider_faces box without an area": 1}
    path = "WIDER_train/images/0--Parade/0_Parade_marchingband_1_849.jpg"
    assert first.held_out == is_held_out(f"wider_faces/{path}", 0.15)


def test_the_validation_part_is_held_out(tmp_path: Path) -> None:
    write_official(tmp_path)
    write_official(tmp_path, part="val")
    sets = open_detection_data(tmp_path, skipped=Counter())
    assert {one.name for one in sets} == {"wider_faces", "wider_faces_val"}
    assert all(one.held_out for one in next(one for one in sets if one.name.endswith("val")))


def test_pictures_that_are_not_there_are_counted(tmp_path: Path) -> None:
    path = write_official(tmp_path, "0--Parade/gone.jpg\n1\n1 2 3 4\n" + BOXES)
    skipped: Counter[str] = Counter()
    (one,) = open_detection_data(path, skipped=skipped)
    assert len(list(one)) == 3
    assert skipped["wider_faces missing picture"] == 1


@pytest.mark.parametrize(
    "broken",
    [
        "a.jpg\n",
        "a.jpg\nmany\n",
        "a.jpg\n2\n1 2 3 4\n",
        "a.jpg\n1\n1 2\n",
        "a.jpg\n-1\n1 2 3 4\n",
        "a.jpg\n1\nx 2 3 4\n",
    ],
)
def test_a_broken_list_is_told_with_its_line(tmp_path: Path, broken: str) -> None:
    path = write_official(tmp_path, BOXES + broken)
    (one,) = open_detection_data(path, skipped=Counter())
    with pytest.raises(DataLayoutError, match="from line 12 on"):
        list(one)


def test_a_list_without_its_pictures_is_told(tmp_path: Path) -> None:
    path = tmp_path / "wider_face_train_bbx_gt.txt"
    path.write_text(BOXES)
    with pytest.raises(DataLayoutError, match="no WIDER_train/images"):
        open_detection_data(path, skipped=Counter())


def test_a_pack_of_marked_faces(tmp_path: Path) -> None:
    columns: dict[str, list[object]] = {
        "image": [drawn_face(0, side=64), None, drawn_face(1, side=64)],
        "path": ["WIDER_train/images/a.jpg", "b", "c"],
        "boxes_xywh": [[[1.0, 2.0, 3.0, 4.0], [5.0, 5.0, 9.0, 9.0]], [], [[1.0, 2.0, 3.0, 4.0]]],
        "invalid": [[0, 1], [], []],
    }
    write(tmp_path, "mine", columns)
    skipped: Counter[str] = Counter()
    (one,) = open_detection_data(tmp_path, skipped=skipped)
    assert (one.name, one.row_count) == ("mine", 3)
    (sample,) = one
    np.testing.assert_array_equal(sample.boxes_xyxy, [[1, 2, 4, 6], [5, 5, 14, 14]])
    assert sample.ignore.tolist() == [False, True]
    assert skipped == {"mine row without a picture, or with broken boxes": 2}
    known: dict[str, list[object]] = {
        "width": [64] * 3,
        "height": [64] * 3,
        "blur": [[0]] * 3,
        "occlusion": [[0]] * 3,
    }
    write(tmp_path, "mine", {**columns, **known})
    (one,) = open_detection_data(tmp_path, skipped=Counter())
    assert one.name == "wider_faces"
    with pytest.raises(DataLayoutError, match="no labelled faces"):
        open_data(tmp_path, skipped=Counter())


def test_a_damaged_pack_of_marked_faces_is_told(tmp_path: Path) -> None:
    columns: dict[str, list[object]] = {
        "image": [drawn_face(index, side=64) for index in range(20)],
        "boxes_xywh": [[[1.0, 2.0, 3.0, 4.0]]] * 20,
        "invalid": [[0]] * 20,
    }
    write(tmp_path, "mine", columns)
    whole = (tmp_path / "mine.parquet").read_bytes()
    half = len(whole) // 2
    (tmp_path / "mine.parquet").write_bytes(whole[:4] + bytes(half) + whole[4 + half :])
    (one,) = open_detection_data(tmp_path, skipped=Counter())
    with pytest.raises(DataLayoutError, match=r"mine\.parquet is damaged: download it again"):
        list(one)


@pytest.mark.parametrize(
    "boxes", [None, [None], [[1.0, 2.0, None, 4.0]], [1.0], "abcd", [[1.0, 2.0, 3.0]]]
)
def test_rows_with_broken_boxes_are_counted(tmp_path: Path, boxes: object) -> None:
    columns: dict[str, list[object]] = {
        "image": [drawn_face(0, side=64)],
        "boxes_xywh": [boxes],
        "invalid": [[0]],
    }
    write(tmp_path, "mine", columns)
    skipped: Counter[str] = Counter()
    (one,) = open_detection_data(tmp_path, skipped=skipped)
    assert list(one) == []
    assert skipped == {"mine row without a picture, or with broken boxes": 1}


@pytest.mark.parametrize(("image", "count"), [({"bytes": b"x", "path": "a.jpg"}, 1), ("a.jpg", 0)])
def test_pictures_are_bytes_or_have_some(tmp_path: Path, image: object, count: int) -> None:
    columns: dict[str, list[object]] = {
        "image": [image],
        "boxes_xywh": [[[1.0, 2.0, 3.0, 4.0]]],
        "invalid": [[0]],
    }
    write(tmp_path, "mine", columns)
    (one,) = open_detection_data(tmp_path, skipped=Counter())
    assert [sample.image for sample in one] == [b"x"] * count
