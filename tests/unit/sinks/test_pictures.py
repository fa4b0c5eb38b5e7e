"""Annotated images and thumbnails, opened again with Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faces_jobs.jobs.records import Attribute, FaceRecord, TrackRecord
from faces_jobs.pipeline.values import Face, Frame
from faces_jobs.sinks.image import IMAGE_FORMATS, AnnotatedImage
from faces_jobs.sinks.thumbnails import MAX_HELD_SHOTS, THUMBNAIL_SIDE, Thumbnails

GENDER = {"gender": Attribute("female", 0.9)}


def make_frame(width: int = 160, height: int = 121) -> Frame:
    return Frame(0, 0.0, np.full((height, width, 3), (200, 120, 40), np.uint8))


def make_face(*, track: int = 1, left: float = 20.0, quality: float = 0.5) -> Face:
    record = FaceRecord(0, 0.0, 0, track, (left, 20.0, left + 30, 60.0), 0.9, GENDER)
    return Face(record, opinion={}, settled=GENDER, quality=quality)


def make_track(track: int) -> TrackRecord:
    return TrackRecord(track, 0, 0, 0.0, 0.0, 1, 0.9, 0, 0.0, (20.0, 20.0, 50.0, 60.0), GENDER)


@pytest.mark.parametrize("name", IMAGE_FORMATS)
def test_an_annotated_image_keeps_format_and_size(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"photo{IMAGE_FORMATS[name][0]}"
    with AnnotatedImage(path, format=name) as sink:
        sink.add(make_frame(), [make_face()], analysed=True)
        assert not path.exists(), "no file is visible before it is complete"
    with Image.open(path) as image:
        assert image.format == name.upper()
        assert image.size == (160, 121)
        colours = np.asarray(image.convert("RGB")).astype(int)
    assert abs(colours[110, 5] - (40, 120, 200)).max() < 30, "the BGR colours are read back as RGB"
    assert (colours.max(axis=2) > 220).any(), "something was drawn"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_an_image_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def interrupted() -> None:
        with AnnotatedImage(tmp_path / "photo.png", format="png") as sink:
            sink.add(make_frame(), [], analysed=True)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())


def test_each_track_has_the_thumbnail_of_its_best_shot(tmp_path: Path) -> None:
    bright = Frame(1, 40.0, np.full((121, 160, 3), 250, np.uint8))
    with Thumbnails(tmp_path) as sink:
        sink.add(make_frame(), [make_face(), make_face(track=2, left=90)], analysed=True)
        sink.add(bright, [make_face(quality=0.9)], analysed=True)
        sink.add(make_frame(), [make_face(quality=0.9)], analysed=True)
        sink.add(make_frame(), [make_face(quality=1.0)], analysed=False)
        sink.finish([make_track(1), make_track(2)])
        assert list(sink.paths()) == [(1, tmp_path / "1.jpg"), (2, tmp_path / "2.jpg")]
    with Image.open(tmp_path / "1.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        assert np.asarray(image).mean() > 245


def test_more_tracks_than_fit_in_memory_have_their_best_shots(tmp_path: Path) -> None:
    tracks = list(range(1, MAX_HELD_SHOTS + 20))
    shades = {track: 60 + track for track in tracks}
    with Thumbnails(tmp_path) as sink:
        for quality, shade in ((0.5, 10), (0.9, None), (0.7, 20)):
            for track in tracks:
                level = shades[track] if shade is None else shade
                frame = Frame(track, 0.0, np.full((121, 160, 3), level, np.uint8))
                sink.add(frame, [make_face(track=track, quality=quality)], analysed=True)
        assert len(list(tmp_path.iterdir())) >= len(tracks) - MAX_HELD_SHOTS, (
            "the others are in memory"
        )
        sink.finish([make_track(track) for track in tracks])
    for track, path in sink.paths():
        with Image.open(path) as image:
            assert abs(np.asarray(image).mean() - shades[track]) < 2


def test_thumbnails_of_several_items_can_share_a_folder(tmp_path: Path) -> None:
    for prefix in ("0-a.track-", "1-b.track-"):
        with Thumbnails(tmp_path, prefix=prefix) as sink:
            sink.add(make_frame(), [make_face(), make_face(track=2, left=90)], analysed=True)
            sink.finish([make_track(1)])
            assert list(sink.paths()) == [(1, tmp_path / f"{prefix}1.jpg")]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "0-a.track-1.jpg",
        "1-b.track-1.jpg",
    ]


@pytest.mark.parametrize(
    ("box_xyxy", "shown_xyxy"),
    [
        ((80.0, 40.0, 110.0, 80.0), (61, 26, 129, 94)),
        ((60.0, 60.0, 120.0, 80.0), (39, 19, 141, 121)),
        ((0.0, 0.0, 30.0, 40.0), (0, 0, 68, 68)),
        ((170.0, 110.0, 200.0, 150.0), (132, 82, 200, 150)),
        ((10.0, 0.0, 190.0, 150.0), (25, 0, 175, 150)),
    ],
    ids=["tall", "wide", "top left", "bottom right", "larger than the picture"],
)
def test_a_thumbnail_shows_a_square_around_the_face_without_repeating_borders(
    tmp_path: Path,
    box_xyxy: tuple[float, float, float, float],
    shown_xyxy: tuple[int, int, int, int],
) -> None:
    for axis, ramp in enumerate(np.indices((150, 200), np.uint8)):
        frame = Frame(0, 0.0, np.repeat(ramp[:, :, np.newaxis], 3, axis=2))
        record = FaceRecord(0, 0.0, 0, 1, box_xyxy, 0.9, GENDER)
        with Thumbnails(tmp_path) as sink:
            sink.add(frame, [Face(record, {}, GENDER, quality=0.5)], analysed=True)
            sink.finish([make_track(1)])
        with Image.open(tmp_path / "1.jpg") as image:
            places = np.asarray(image.convert("L")).mean(axis=1 - axis)
        first, end = shown_xyxy[1 - axis], shown_xyxy[3 - axis]
        assert abs(places[[0, -1]] - (first, end - 1)).max() < 1


def test_thumbnails_of_dropped_tracks_and_after_errors_are_removed(tmp_path: Path) -> None:
    with Thumbnails(tmp_path) as sink:
        sink.add(make_frame(), [make_face(), make_face(track=2)], analysed=True)
        sink.finish([make_track(2)])
    assert [path.name for path in tmp_path.iterdir()] == ["2.jpg"]

    def interrupted() -> None:
        with Thumbnails(tmp_path) as sink:
            sink.add(make_frame(), [make_face(track=2)], analysed=True)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())
