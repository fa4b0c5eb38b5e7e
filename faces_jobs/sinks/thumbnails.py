"""One best-shot thumbnail a track."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from faces_jobs.jobs.records import BoxXyxy, TrackRecord
from faces_jobs.pipeline.values import Face, Frame, Picture
from faces_jobs.storage import told_when_full

SIDE = 192  # pixels; a card on a page shows it at half that on a sharp screen
SCALE = 1.7  # of the box's longer side: hair and chin belong to a portrait
JPEG_QUALITY = 88


class Thumbnails:
    """A `Sink` that writes `<prefix><track>.jpg` for each track into a folder that is there.

    A better shot replaces the one before it on disk, so memory does not grow with the tracks.
    Open it with `with`; on an error its files are removed.
    """

    def __init__(self, folder: Path, *, prefix: str = "") -> None:
        self._folder = folder
        self._prefix = prefix
        self._best: dict[int, float] = {}  # track to the quality of its thumbnail

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            for _, path in self.paths():
                path.unlink(missing_ok=True)

    def paths(self) -> Iterator[tuple[int, Path]]:
        """(track, path of its thumbnail), by track."""
        for track in sorted(self._best):
            yield track, self._path(track)

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:
        """Keep the face where it is the best shot of its track so far.

        Raises:
            StorageFullError: there is no room for it.
        """
        if not analysed:
            return
        for face in faces:
            track = face.record.track
            if face.quality > self._best.get(track, -1.0):
                self._write(frame, face)
                self._best[track] = face.quality

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        """Drop the thumbnails of tracks that came to nothing."""
        for track in self._best.keys() - {track.track for track in tracks}:
            self._path(track).unlink(missing_ok=True)
            del self._best[track]

    def _path(self, track: int) -> Path:
        return self._folder / f"{self._prefix}{track}.jpg"

    def _write(self, frame: Frame, face: Face) -> None:
        portrait_bgr = _portrait(frame.picture_bgr, face.record.box_xyxy)
        _, encoded = cv2.imencode(".jpg", portrait_bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        with told_when_full():
            self._path(face.record.track).write_bytes(encoded.data)


def _portrait(picture_bgr: Picture, box_xyxy: BoxXyxy) -> Picture:
    """(SIDE, SIDE, 3) around the box: moved, or made smaller, rather than filled up at an edge."""
    height, width = picture_bgr.shape[:2]
    left, top, right, bottom = box_xyxy
    side = max(1, min(round(SCALE * max(right - left, bottom - top)), height, width))
    x = min(max(0, round((left + right - side) / 2)), width - side)
    y = min(max(0, round((top + bottom - side) / 2)), height - side)
    square = picture_bgr[y : y + side, x : x + side]
    interpolation = cv2.INTER_AREA if side > SIDE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (SIDE, SIDE), interpolation=interpolation), np.uint8)
