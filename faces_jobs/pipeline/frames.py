"""Open a file's frames: recognised by its content, read by the reader for what it is."""

from __future__ import annotations

from pathlib import Path

from faces_jobs.media import HEAD_BYTES, MediaType, recognise
from faces_jobs.pipeline.cut_plan import Part
from faces_jobs.pipeline.image_reader import ImageReader
from faces_jobs.pipeline.part_reader import PartReader
from faces_jobs.pipeline.video_reader import VideoReader


def open_frames(path: Path, *, max_pixels: int) -> ImageReader | VideoReader:
    """The frames of an image or video file; use it with `with`, and iterate it once.

    Opening decodes the first frame, after its size was checked in the header.

    Raises:
        MediaError: one of its kinds in `errors.py`, with what to do about it.
        OSError: the file can't be read at all.
    """
    found = _recognised(path)
    if found.reader == "pillow":
        return ImageReader(path, found.format, max_pixels=max_pixels)
    return VideoReader(path, found.format, max_pixels=max_pixels)


def open_part(path: Path, part: Part, *, max_pixels: int) -> PartReader:
    """The frames of one part of a video that was planned before; use it as `open_frames`.

    Raises:
        MediaError: as `open_frames` does.
        NotCuttableError: while it is iterated: the plan does not hold.
    """
    return PartReader(path, _recognised(path).format, part, max_pixels=max_pixels)


def _recognised(path: Path) -> MediaType:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        size = file.seek(0, 2)
    return recognise(head, size=size)
