"""Opens the sink that writes an item's annotated copy: an image or a video."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from faces_jobs.pipeline.protocols import Sink
from faces_jobs.pipeline.values import MediaInfo
from faces_jobs.settings import EncoderName
from faces_jobs.sinks.image import IMAGE_FORMATS, AnnotatedImage
from faces_jobs.sinks.video import AnnotatedVideo

VIDEO_SUFFIX = ".mp4"


def suffix_of(info: MediaInfo) -> str:
    """Return the file name suffix of an item's annotated copy."""
    return IMAGE_FORMATS[info.format][0] if info.kind == "image" else VIDEO_SUFFIX


def open_annotated(
    stem: Path, info: MediaInfo, source: Path | None, *, encoder: EncoderName = "libx264"
) -> AbstractContextManager[Sink]:
    """Return a sink, for use in a `with` statement, that writes the annotated copy.

    Args:
        stem: the path of the copy without its suffix.
        info: of the source.
        source: the video whose sound is added; None: no sound.
        encoder: the setting of that name.
    """
    path = stem.with_name(stem.name + suffix_of(info))
    if info.kind == "image":
        return AnnotatedImage(path, format=info.format)
    return AnnotatedVideo(path, source=source, info=info, encoder=encoder)
