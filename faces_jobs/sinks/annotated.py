"""The annotated copy of an item: an image for an image, a video for everything that moves."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from faces_jobs.pipeline.stages import Sink
from faces_jobs.pipeline.values import MediaInfo
from faces_jobs.settings import EncoderName
from faces_jobs.sinks.image import IMAGE_FORMATS, AnnotatedImage
from faces_jobs.sinks.video import AnnotatedVideo

VIDEO_SUFFIX = ".mp4"


def suffix_of(info: MediaInfo) -> str:
    """The suffix that an annotated copy of this item has."""
    return IMAGE_FORMATS[info.format][0] if info.kind == "image" else VIDEO_SUFFIX


def open_annotated(
    stem: Path, info: MediaInfo, source: Path | None, *, encoder: EncoderName = "libx264"
) -> AbstractContextManager[Sink]:
    """A sink, to be used with `with`, that writes the annotated copy to `stem` + its suffix.

    Args:
        stem: the file's path without a suffix.
        info: of the source.
        source: where a video's sound is taken from; None: it has none, or it is not wanted.
        encoder: the setting of that name.
    """
    path = stem.with_name(stem.name + suffix_of(info))
    if info.kind == "image":
        return AnnotatedImage(path, format=info.format)
    return AnnotatedVideo(path, source=source, info=info, encoder=encoder)
