"""Reads the videos of tests, and checks the colours of their frames."""

from __future__ import annotations

from pathlib import Path

from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.values import Frame, MediaInfo

MAX_PIXELS = 1_000_000


def read(path: Path, *, max_pixels: int = MAX_PIXELS) -> tuple[MediaInfo, list[Frame]]:
    with open_frames(path, max_pixels=max_pixels) as reader:
        frames = list(reader)
        assert reader.damaged_frames == 0, "the file is not damaged"
        return reader.info, frames


def colour_at(frame: Frame, x: int, y: int) -> tuple[int, ...]:
    return tuple(int(value) for value in frame.picture_bgr[y, x])


def is_near(colour: tuple[int, ...], wanted: tuple[int, ...], *, by: int = 40) -> bool:
    return all(abs(a - b) <= by for a, b in zip(colour, wanted, strict=True))
