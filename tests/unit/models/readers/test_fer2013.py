"""FER2013's one file, and the votes of FER+ beside it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from faces_jobs.errors import DataLayoutError
from faces_jobs.jobs.labels import HEADS
from tests.unit.models.readers.drawn import open_only_set, true_labels

PIXELS = " ".join(str(index % 256) for index in range(48 * 48))
VOTES = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


def write_faces(folder: Path, *rows: tuple[str, str, str]) -> Path:
    lines = ["emotion,pixels,Usage", *(",".join(row) for row in rows)]
    path = folder / "fer2013.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def write_votes(folder: Path, *rows: str) -> Path:
    path = folder / "fer2013new.csv"
    path.write_text("\n".join([VOTES, *rows]) + "\n")
    return path


def test_numbers_are_expressions_in_their_order(tmp_path: Path) -> None:
    write_faces(tmp_path, *((str(number), PIXELS, "Training") for number in range(7)))
    one, samples, skipped = open_only_set(tmp_path)
    assert one.name == "fer2013"
    assert true_labels(samples, "expression") == [
        "anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral",
    ]  # fmt: skip
    assert not skipped


def test_pixels_are_the_picture_and_usage_the_split(tmp_path: Path) -> None:
    write_faces(
        tmp_path,
        *(("0", PIXELS, usage) for usage in ("Training", "PublicTest", "PrivateTest")),
    )
    _, samples, _ = open_only_set(tmp_path)
    assert [sample.held_out for sample in samples] == [False, True, True]
    picture = cv2.imdecode(np.frombuffer(samples[0].image, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    assert picture.shape == (48, 48)
    assert picture.ravel()[:300].tolist() == [index % 256 for index in range(300)]
    assert samples[0].size_px == 48


@pytest.mark.parametrize(
    "pixels",
    [
        "",
        "1 2 3",
        PIXELS + " 0",
        PIXELS.replace("255", "256"),
        PIXELS.replace("7 ", "x ", 1),
        PIXELS.replace("7 ", "-7 ", 1),
    ],
)
def test_broken_pictures_are_counted(tmp_path: Path, pixels: str) -> None:
    write_faces(tmp_path, ("0", pixels, "Training"), ("1", PIXELS, "Training"))
    _, samples, skipped = open_only_set(tmp_path)
    assert true_labels(samples, "expression") == ["disgust"]
    assert skipped == {"fer2013 row without 48 x 48 pixels": 1}


def test_numbers_of_no_expression_are_counted(tmp_path: Path) -> None:
    write_faces(tmp_path, ("7", PIXELS, "Training"), ("-1", PIXELS, "Training"))
    _, samples, skipped = open_only_set(tmp_path)
    assert samples == []
    assert skipped == {"fer2013 expression '7'": 1, "fer2013 expression '-1'": 1}


@pytest.mark.parametrize("given", ["folder", "fer2013.csv", "fer2013new.csv"])
def test_votes_are_matched_by_order(tmp_path: Path, given: str) -> None:
    write_faces(
        tmp_path,
        *(("0", PIXELS, usage) for usage in ("Training", "Training", "PublicTest", "PrivateTest")),
    )
    write_votes(
        tmp_path,
        "Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0",
        "Training,,0,0,0,0,0,0,0,0,0,10",
        "PublicTest,fer0000002.png,4,4,0,0,0,0,0,1,1,0",
        "PrivateTest,fer0000003.png,0,3,0,0,0,0,2,4,1,0",
    )
    path = tmp_path if given == "folder" else tmp_path / given
    one, samples, skipped = open_only_set(path)
    assert one.name == "ferplus"
    assert true_labels(samples, "expression") == ["neutral", None]
    assert [sample.held_out for sample in samples] == [False, True]
    votes = dict(zip(HEADS["expression"], samples[0].targets["expression"], strict=True))
    assert votes["anger"] == pytest.approx(0.3)
    assert skipped == {"ferplus without a clear expression": 2}
    other, samples, _ = open_only_set(path, "fer2013")
    assert other.name == "fer2013"
    assert true_labels(samples, "expression") == ["anger"] * 4


@pytest.mark.parametrize(
    "rows",
    [
        ["Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0"],
        ["Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0"] * 3,
        [
            "Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0",
            "PublicTest,fer0000001.png,4,0,0,1,3,2,0,0,0,0",
        ],
    ],
)
def test_votes_of_other_rows_are_refused(tmp_path: Path, rows: list[str]) -> None:
    write_faces(tmp_path, *[("0", PIXELS, "Training")] * 2)
    write_votes(tmp_path, *rows)
    with pytest.raises(DataLayoutError, match="differ in their picture"):
        open_only_set(tmp_path)


def test_votes_that_are_no_numbers_are_counted(tmp_path: Path) -> None:
    write_faces(tmp_path, *[("0", PIXELS, "Training")] * 2)
    write_votes(
        tmp_path,
        "Training,fer0000000.png,4,0,0,1,3,x,0,0,0,0",
        "Training,fer0000001.png,4,0,0,1",
    )
    _, samples, skipped = open_only_set(tmp_path)
    assert samples == []
    assert skipped == {"ferplus row with invalid votes": 2}


def test_votes_alone_hold_no_pictures(tmp_path: Path) -> None:
    write_votes(tmp_path, "Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0")
    with pytest.raises(DataLayoutError, match=r"needs fer2013\.csv next to it"):
        open_only_set(tmp_path)


def test_another_table_of_the_name_is_told(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_text("label,picture\n1,2\n")
    with pytest.raises(DataLayoutError, match="no column emotion, pixels, Usage"):
        open_only_set(tmp_path)


def test_a_header_without_end_is_told(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_text('"' + "x" * (1 << 25))
    with pytest.raises(DataLayoutError, match="field larger than field limit"):
        open_only_set(tmp_path)
