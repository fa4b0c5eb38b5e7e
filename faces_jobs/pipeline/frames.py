"""Open a file's frames: recognised by its content, read by the reader for what it is."""

from __future__ import annotations

from pathlib import Path

from faces_jobs.media import HEAD_BYTES, recognise
from faces_jobs.pipeline.image_reader import ImageReader
from faces_jobs.pipeline.video_reader import VideoReader


def open_frames(path: Path, *, max_pixels: int) -> ImageReader | VideoReader:
    """The frames of an image or video file; use it with `with`, and iterate it once.

    Opening decodes the first frame, after its size was checked in the header.

    Raises:
        MediaError: one of its kinds in `errors.py`, with what to do about it.
        OSError: the file can't be read at all.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        size = file.seek(0, 2)
    found = recognise(head, size=size)
    if found.reader == "pillow":
        return ImageReader(path, found.format, max_pixels=max_pixels)
    return VideoReader(path, found.format, max_pixels=max_pixels)
