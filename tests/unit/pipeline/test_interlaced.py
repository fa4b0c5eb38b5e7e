"""The combs of interlaced pictures are removed, and what is not torn is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faces_jobs.pipeline.reading.interlaced import without_combs
from tests import clips
from tests.clips import Square
from tests.unit.pipeline.read_videos import read

WHITE = (250, 250, 250)
INTERLACED = "tff=1:qp=0"


def woven(first: clips.Picture, second: clips.Picture) -> clips.Picture:
    """Return the picture whose even lines are from `first`, and its odd lines from `second`."""
    picture = first.copy()
    picture[1::2] = second[1::2]
    return picture


def read_woven(path: Path, picture: clips.Picture, *, parameters: str) -> np.ndarray:
    clips.write_video(path, [picture] * 2, codec_options={"x264-params": parameters})
    _, frames = read(path)
    return frames[1].picture_bgr.astype(int)


def test_what_moved_between_the_fields_is_shown_as_in_one_of_them(tmp_path: Path) -> None:
    first, second = (
        clips.picture([Square(left, 20, 48, WHITE)], width=128, height=96) for left in (20, 44)
    )
    shown = read_woven(tmp_path / "a.mkv", woven(first, second), parameters=INTERLACED)
    lines = np.abs(shown - first).max(axis=(1, 2))
    assert set(np.flatnonzero(lines > 10)) <= {19, 67}, "only at the edges between two lines"


def test_a_progressive_picture_is_kept_as_it_is(tmp_path: Path) -> None:
    picture = woven(*(clips.picture([Square(left, 20, 48, WHITE)]) for left in (0, 30)))
    shown = read_woven(tmp_path / "a.mkv", picture, parameters="qp=0")
    assert np.abs(shown - picture).max() < 10


def test_lines_of_an_interlaced_picture_that_are_not_torn_are_kept(tmp_path: Path) -> None:
    picture = clips.picture([Square(10, 4, 30, WHITE)])
    picture[41] = WHITE
    picture[10:40, 50] = WHITE
    shown = read_woven(tmp_path / "a.mkv", picture, parameters=INTERLACED)
    assert np.abs(shown - picture).max() < 10


@pytest.mark.parametrize("height", [1, 2, 3, 97])
def test_an_interlaced_picture_may_have_any_number_of_lines(height: int) -> None:
    first, second = (clips.picture(height=height, background=(each,) * 3) for each in (60, 180))
    shown = without_combs(woven(first, second))
    assert shown.shape == first.shape
    assert height < 97 or np.array_equal(shown, first)
