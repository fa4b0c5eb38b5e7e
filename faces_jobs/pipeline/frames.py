"""Opens a media file with the reader for its format, which is detected from its content."""

from __future__ import annotations

from pathlib import Path

from faces_jobs.media import HEAD_BYTES, MediaType, recognise
from faces_jobs.pipeline.cutting.part_reader import PartReader
from faces_jobs.pipeline.cutting.plan import Part
from faces_jobs.pipeline.reading.image_reader import ImageReader
from faces_jobs.pipeline.reading.video_reader import VideoReader


def open_frames(path: Path, *, max_pixels: int) -> ImageReader | VideoReader:
    """Open a reader for an image or video file; use it with `with`, and iterate it once.

    Opening decodes the first frame, after the size in the header was checked.

    Raises:
        MediaError: the file is not a readable image or video; subclasses in `errors.py` say why.
        OSError: the file can't be read at all.
    """
    media_type = _media_type(path)
    if media_type.reader == "pillow":
        return ImageReader(path.open("rb"), media_type.format, max_pixels=max_pixels)
    return VideoReader(path, media_type.format, max_pixels=max_pixels)


def open_part(path: Path, part: Part, *, max_pixels: int) -> PartReader:
    """Open a reader for one planned part of a video; use it like that of `open_frames`.

    Its iteration raises `NotCuttableError` if the frames differ from the plan.

    Raises:
        MediaError: the same as for `open_frames`.
    """
    return PartReader(path, _media_type(path).format, part, max_pixels=max_pixels)


def _media_type(path: Path) -> MediaType:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        size = file.seek(0, 2)
    return recognise(head, size=size)
