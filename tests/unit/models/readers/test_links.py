"""Links in folders of pictures: to files that are gone, and to folders that have no end."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from faces_jobs_models.training.data.fingerprints import origin_of
from faces_jobs_models.training.readers import open_data
from tests.fakes import SquareDetector
from tests.unit.models.packs import drawn_face, write
from tests.unit.models.readers.drawn import open_only_set, write_face


@pytest.mark.parametrize(
    ("layout", "picture", "gone"),
    [
        ("utkface", "26_0_1_20170116.jpg", "27_0_1_20170116.jpg"),
        ("jaffe", "KA.AN1.39.tiff", "KA.AN2.40.tiff"),
        ("facemask", "with_mask/1.jpg", "without_mask/2.jpg"),
        ("ckplus48", "anger/S010_004_00000017.png", "anger/S010_004_00000018.png"),
        ("lfw", "Ann_One/Ann_One_0001.jpg", "Ann_One/Ann_One_0002.jpg"),
    ],
)
def test_a_picture_that_is_gone_is_counted(
    layout: str, picture: str, gone: str, tmp_path: Path
) -> None:
    write_face(tmp_path / picture)
    (tmp_path / "female_names.txt").write_text("Ann_One")
    (tmp_path / gone).parent.mkdir(exist_ok=True)
    (tmp_path / gone).symlink_to("nowhere")
    one, samples, skipped = open_only_set(tmp_path)
    assert (one.name, len(samples)) == (layout, 1)
    assert skipped == {f"{layout} missing picture": 1}
    assert origin_of(one, SquareDetector())


def test_a_folder_that_is_linked_into_itself_is_read_once(tmp_path: Path) -> None:
    for name in ("with_mask/1.jpg", "without_mask/2.jpg"):
        write_face(tmp_path / "masks" / name)
    (tmp_path / "masks" / "with_mask" / "up").symlink_to("..")
    write(tmp_path, "mine", {"image": [drawn_face(0, side=40)], "mask": [True]})
    (tmp_path / "here").symlink_to(".")
    sets = open_data(tmp_path, skipped=Counter())
    assert [(one.name, len(list(one))) for one in sets] == [("mine", 1), ("facemask", 2)]


def test_what_a_linked_folder_holds_is_part_of_the_set(tmp_path: Path) -> None:
    for name in ("set/with_mask/1.jpg", "set/without_mask/2.jpg", "more/3.jpg"):
        write_face(tmp_path / name)
    (tmp_path / "set" / "with_mask" / "more").symlink_to(tmp_path / "more")
    one, samples, _ = open_only_set(tmp_path / "set")
    assert len(samples) == 3
    before = origin_of(one, SquareDetector())
    write_face(tmp_path / "more" / "4.jpg")
    assert origin_of(one, SquareDetector()) != before
