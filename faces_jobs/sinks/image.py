"""Writes the annotated copy of an image: same format and size, without the original's metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import numpy as np
from PIL import Image

from faces_jobs.jobs.records import TrackRecord
from faces_jobs.pipeline.values import Face, Frame
from faces_jobs.sinks.drawing import draw_faces
from faces_jobs.storage import raising_storage_full

# Format of the source -> suffix and Pillow's options. Metadata (location, camera, preview) is not
# copied on purpose: annotated copies are made to be shared.
IMAGE_FORMATS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "jpeg": (".jpg", {"quality": 92, "subsampling": 0}),
        "png": (".png", {"compress_level": 3}),
        "webp": (".webp", {"quality": 90}),
        "bmp": (".bmp", {}),
        "tiff": (".tif", {"compression": "tiff_lzw"}),
        "gif": (".gif", {}),
        "avif": (".avif", {"quality": 85}),
    }
)


class AnnotatedImage:
    """A `Sink` of one frame. Open it with `with`; the file exists once the block succeeded."""

    def __init__(self, path: Path, *, format: str) -> None:  # noqa: A002 (`MediaInfo.format`)
        """Write to `path`. `format`: the source's, a key of `IMAGE_FORMATS`."""
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._format = format

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._part.unlink(missing_ok=True)
        elif self._part.exists():
            self._part.replace(self._path)

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:  # noqa: ARG002 (a sink's signature)
        """Write the annotated frame.

        Raises:
            StorageFullError: the disk is full.
        """
        _, options = IMAGE_FORMATS[self._format]
        drawn_bgr = draw_faces(frame.picture_bgr, faces, is_still=True)
        drawn_rgb = np.ascontiguousarray(drawn_bgr[:, :, ::-1])
        with raising_storage_full():
            Image.fromarray(drawn_rgb).save(self._part, format=self._format, **options)

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        """Do nothing: the file is complete."""
