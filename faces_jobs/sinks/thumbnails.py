"""Writes a thumbnail of each track's best shot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from faces_jobs.jobs.records import BoxXyxy, TrackRecord
from faces_jobs.pipeline.values import Face, Frame, Picture
from faces_jobs.storage import raising_storage_full

THUMBNAIL_SIDE = 192  # pixels; pages show it at half that size, for high-density screens
CROP_SCALE = 1.7  # of the box's longer side, to include hair and chin
JPEG_QUALITY = 88
MAX_HELD_SHOTS = 64  # in memory, as they may be replaced by better ones
# Pixels: larger shots are scaled down before they are held. It saves memory, but is slower than
# copying.
MAX_HELD_SIDE = 2 * THUMBNAIL_SIDE


class Thumbnails:
    """A `Sink` that writes `<prefix><track>.jpg` for each track into an existing folder.

    A face that approaches has a better shot in every frame, so a shot is held in memory for a while
    before it is written; a better one replaces it there or on disk. The number of held shots is
    limited. Open it with `with`; on an error its files are deleted.
    """

    def __init__(self, folder: Path, *, prefix: str = "") -> None:
        self._folder = folder
        self._prefix = prefix
        self._best: dict[int, float] = {}  # track -> quality of its best shot
        self._held: dict[int, Picture] = {}  # shots that are not written yet, oldest first

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._write_held()
            return
        for _, path in self.paths():
            path.unlink(missing_ok=True)

    def paths(self) -> Iterator[tuple[int, Path]]:
        """Yield (track, path of its thumbnail), by track; the files exist after `finish`."""
        for track in sorted(self._best):
            yield track, self._path(track)

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:
        """Keep each face that is the best shot of its track so far.

        Raises:
            StorageFullError: the disk is full.
        """
        if not analysed:
            return
        for face in faces:
            track = face.record.track
            if face.quality > self._best.get(track, -1.0):
                self._keep(frame, face)
                self._best[track] = face.quality

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        """Write the held shots, and delete the thumbnails of tracks that were discarded.

        Raises:
            StorageFullError: the disk is full.
        """
        for track in self._best.keys() - {track.track for track in tracks}:
            self._held.pop(track, None)
            self._path(track).unlink(missing_ok=True)
            del self._best[track]
        self._write_held()

    def _path(self, track: int) -> Path:
        return self._folder / f"{self._prefix}{track}.jpg"

    def _keep(self, frame: Frame, face: Face) -> None:
        """Hold this shot; if there are too many, write the one that was held the longest."""
        square_bgr = _square(frame.picture_bgr, face.record.box_xyxy)
        is_small = square_bgr.shape[0] <= MAX_HELD_SIDE
        self._held[face.record.track] = square_bgr.copy() if is_small else _portrait(square_bgr)
        if len(self._held) > MAX_HELD_SHOTS:
            track = next(iter(self._held))
            self._write(track, self._held.pop(track))

    def _write_held(self) -> None:
        while self._held:
            self._write(*self._held.popitem())

    def _write(self, track: int, shot_bgr: Picture) -> None:
        portrait_bgr = _portrait(shot_bgr)
        _, encoded = cv2.imencode(".jpg", portrait_bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        with raising_storage_full():
            self._path(track).write_bytes(encoded.data)


def _square(picture_bgr: Picture, box_xyxy: BoxXyxy) -> Picture:
    """Return a square view around the box, moved or shrunk at the edges rather than padded."""
    height, width = picture_bgr.shape[:2]
    left, top, right, bottom = box_xyxy
    side = max(1, min(round(CROP_SCALE * max(right - left, bottom - top)), height, width))
    x = min(max(0, round((left + right - side) / 2)), width - side)
    y = min(max(0, round((top + bottom - side) / 2)), height - side)
    return picture_bgr[y : y + side, x : x + side]


def _portrait(square_bgr: Picture) -> Picture:
    """Scale to (THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3); returns the same array if it has that size."""
    side = square_bgr.shape[0]
    if side == THUMBNAIL_SIDE:
        return square_bgr
    interpolation = cv2.INTER_AREA if side > THUMBNAIL_SIDE else cv2.INTER_CUBIC
    return np.asarray(
        cv2.resize(square_bgr, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=interpolation),
        np.uint8,
    )
