"""Finding the meant face of a labelled picture, and cutting it once."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from faces_jobs.pipeline.values import Picture
from faces_jobs_models.catalog import Catalog
from faces_jobs_models.training.data.prepare import PreparedDataSet, prepare
from faces_jobs_models.training.data.target_face import (
    boxes_to_crop,
    crop_target_faces,
    find_target_boxes,
)
from faces_jobs_models.training.readers import DataSet, open_data
from tests.fakes import SquareDetector
from tests.unit.models.packs import drawn_face, write
from tests.unit.models.photographs import FACE_XYXY, astronaut_bgr, overlap
from tests.unit.models.readers.drawn import write_face


def portrait() -> Picture:
    """(200, 160, 3): the photograph's face with its hair."""
    return np.ascontiguousarray(astronaut_bgr()[20:220, 144:304])


def resized(picture: Picture, height: int) -> Picture:
    width = round(picture.shape[1] * height / picture.shape[0])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.mark.parametrize("longest", [64, 128, 129, 256, 320, 512])
def test_a_face_is_found_at_any_size_of_the_picture(catalog: Catalog, longest: int) -> None:
    picture = resized(astronaut_bgr(), longest) if longest > 128 else resized(portrait(), longest)
    (box,) = find_target_boxes([picture], catalog.detector())
    assert box is not None
    if longest > 128:
        expected = np.array(FACE_XYXY) * longest / 512
    else:
        left, top, right, bottom = FACE_XYXY
        expected = np.array((left - 144, top - 20, right - 144, bottom - 20)) * longest / 200
    assert overlap(box, expected) > 0.5


def test_boxes_keep_the_order_of_pictures_of_many_sizes(catalog: Catalog) -> None:
    pictures = [resized(portrait(), height) for height in (400, 60, 200, 128, 300)]
    blank = np.zeros((90, 200, 3), np.uint8)
    boxes = find_target_boxes([*pictures[:2], blank, *pictures[2:]], catalog.detector())
    assert boxes[2] is None
    for picture, box in zip(pictures, [*boxes[:2], *boxes[3:]], strict=True):
        assert box is not None
        assert 0.3 < (box[3] - box[1]) / picture.shape[0] < 0.8


@pytest.mark.parametrize(
    ("first_xyxy", "second_xyxy", "meant"),
    [
        ((10, 10, 110, 110), (114, 100, 204, 190), 1),  # nearly as large, but in the middle
        ((30, 30, 250, 250), (280, 140, 300, 160), 0),
        ((100, 40, 260, 200), (145, 210, 155, 220), 0),  # a spot in the middle is nobody
    ],
)
def test_the_meant_face_is_central_and_large(
    first_xyxy: tuple[int, ...], second_xyxy: tuple[int, ...], meant: int
) -> None:
    scene = np.full((300, 300, 3), 90, np.uint8)
    for left, top, right, bottom in (first_xyxy, second_xyxy):
        scene[top:bottom, left:right] = (0, 0, 255)
    (box,) = find_target_boxes([scene], SquareDetector())
    assert box is not None
    assert overlap(box, np.array((first_xyxy, second_xyxy)[meant])) > 0.9


@pytest.mark.parametrize("shape", [(1, 900_000, 3), (900_000, 1, 3)])
def test_of_a_strip_the_middle_is_cropped(shape: tuple[int, int, int]) -> None:
    strip = np.zeros(shape, np.uint8)
    strip[shape[0] // 2, shape[1] // 2] = 200
    (crop,), found = crop_target_faces([strip], SquareDetector(), scale=1.1, size=64)
    assert crop.shape == (64, 64, 3)
    assert crop.max() > 100
    assert found == [False]


def test_a_picture_without_a_face_is_cropped_as_a_whole() -> None:
    pictures = [np.zeros((height, width, 3), np.uint8) for height, width in ((40, 90), (1, 8))]
    boxes, found = boxes_to_crop(pictures, SquareDetector())
    assert [box.tolist() for box in boxes] == [[0, 0, 90, 40], [0, 0, 8, 1]]
    assert found == [False, False]


def test_in_a_small_picture_the_best_face_is_meant() -> None:
    scene = np.full((120, 120, 3), 90, np.uint8)
    scene[4:50, 4:50] = scene[40:80, 52:92] = (0, 0, 255)
    (box,) = find_target_boxes([scene], SquareDetector())
    assert box is not None
    assert overlap(box, np.array((4, 4, 50, 50))) > 0.9


def test_no_pictures_no_boxes() -> None:
    assert find_target_boxes([], SquareDetector()) == []


def pack(folder: Path, images: list[object]) -> DataSet:
    genders: list[object] = ["female"] * len(images)
    write(folder, "mine", {"image": images, "gender": genders})
    (one,) = open_data(folder / "mine.parquet", skipped=Counter())
    return one


def cut(
    data_set: DataSet,
    out: Path,
    skipped: Counter[str] | None = None,
    report: Callable[[str], None] = lambda _: None,
    detector: SquareDetector | None = None,
) -> PreparedDataSet:
    return prepare(
        data_set,
        out=out,
        detector=detector or SquareDetector(),
        crop_scale=1.1,
        crop_size=64,
        gray=True,
        skipped=skipped,
        report=report,
    )


def test_unreadable_pictures_are_counted(tmp_path: Path) -> None:
    images: list[object] = [drawn_face(0, side=40), b"no picture", drawn_face(1, side=40)]
    skipped: Counter[str] = Counter()
    prepared = cut(pack(tmp_path, images), tmp_path / "out", skipped)
    assert prepared.crops.shape == (2, 80, 80, 1)
    assert skipped == {"mine unreadable picture": 1}
    report = json.loads((tmp_path / "out" / "mine-1.1-64-gray" / "done.json").read_text())
    assert (report["rows"], report["pictures"]) == (3, 2)
    assert report["skipped"] == {"mine unreadable picture": 1}


def test_an_empty_file_is_counted(tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    for name in ("with_mask/1.png", "without_mask/2.png"):
        write_face(masks / name)
    (masks / "with_mask" / "3.png").touch()
    skipped: Counter[str] = Counter()
    (one,) = open_data(masks, skipped=skipped)
    assert len(cut(one, tmp_path / "out", skipped).crops) == 2
    assert skipped == {"facemask unreadable picture": 1}


def test_crops_are_opened_where_nothing_changed(tmp_path: Path) -> None:
    lines: list[str] = []
    one = pack(tmp_path, [drawn_face(0, side=40)])
    first = cut(one, tmp_path / "out", report=lines.append)
    unread = replace(one, read=lambda: pytest.fail("it was read again"))
    again = cut(unread, tmp_path / "out", report=lines.append)
    np.testing.assert_array_equal(again.crops, first.crops)
    assert again.content == first.content
    assert not lines


def test_a_set_of_other_rows_is_cut_anew(tmp_path: Path) -> None:
    lines: list[str] = []
    images: list[object] = [drawn_face(index, side=40) for index in range(4)]
    two = cut(pack(tmp_path, images[:2]), tmp_path / "out", report=lines.append)
    four = cut(pack(tmp_path, images), tmp_path / "out", report=lines.append)
    assert (len(two.crops), len(four.crops)) == (2, 4)
    assert two.content != four.content
    assert lines == ["mine: cropping again, since files changed"]


def test_corrected_labels_are_learnt(tmp_path: Path) -> None:
    one = pack(tmp_path, [drawn_face(0, side=40)])
    first = cut(one, tmp_path / "out")
    write(tmp_path, "mine", {"image": [drawn_face(0, side=40)], "gender": ["male"]})
    second = cut(one, tmp_path / "out")
    assert first.truth["gender"].tolist() != second.truth["gender"].tolist()
    assert first.content != second.content


def test_a_picture_that_comes_to_a_folder_is_cut(tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    for name in ("with_mask/1.png", "without_mask/2.png"):
        write_face(masks / name)

    def count() -> int:
        (one,) = open_data(masks, skipped=Counter())
        return len(cut(one, tmp_path / "out").crops)

    assert count() == 2
    write_face(masks / "with_mask" / "more" / "3.png")
    assert count() == 3


def test_another_folder_or_detector_is_told(tmp_path: Path) -> None:
    lines: list[str] = []
    other = SquareDetector()
    other.sha256, other.version = "other", "squares-2"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first = pack(tmp_path / "a", [drawn_face(0, side=40)])
    moved = replace(first, path=tmp_path / "b" / "mine.parquet")
    shutil.copy2(first.path, moved.path)  # with its time
    contents = [
        cut(data_set, tmp_path / "out", report=lines.append, detector=detector).content
        for data_set, detector in ((first, None), (moved, None), (moved, other))
    ]
    assert lines == [
        "mine: cropping again, since folder changed",
        "mine: cropping again, since detector changed",
    ]
    assert contents[0] == contents[1] != contents[2], "the same pictures may be moved"


@pytest.mark.parametrize("summary", ['{"pictures": 1}', "", '{"origin": {"fol'])
def test_what_older_versions_or_a_full_disk_left_is_cut_again(summary: str, tmp_path: Path) -> None:
    one = pack(tmp_path, [drawn_face(0, side=40)])
    first = cut(one, tmp_path / "out")
    (tmp_path / "out" / "mine-1.1-64-gray" / "done.json").write_text(summary)
    np.testing.assert_array_equal(cut(one, tmp_path / "out").crops, first.crops)


def test_the_crops_are_those_of_each_picture_in_order(tmp_path: Path) -> None:
    images: list[object] = [drawn_face(index, side=40) for index in range(40)]  # two batches
    one = cut(pack(tmp_path, images), tmp_path / "out")
    assert one.crops.dtype == np.uint8
    alone = tmp_path / "alone"
    alone.mkdir()
    for index in (0, 31, 32, 39):
        single = cut(pack(alone, [images[index]]), alone / "out")
        np.testing.assert_array_equal(one.crops[index], single.crops[0])
        np.testing.assert_array_equal(one.inside[index], single.inside[0])
    assert one.group.tolist() == [str(row) for row in range(1, 41)]
