"""A file that passes the best shots of a part's own tracks between stages.

Which of them are the best of a linked track is only known after linking; with this file the part
need not be decoded again for them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

from faces_jobs.jobs.records import TrackRecord
from faces_jobs.sinks.thumbnails import Thumbnails
from faces_jobs.storage import raising_storage_full


class Portraits(Thumbnails):
    """A `Sink` that packs the best shot of each track into a zip file. Open it with `with`."""

    def __init__(self, path: Path, *, folder: Path) -> None:
        """Write to `path` on `finish`; until then each shot is a file in `folder`."""
        super().__init__(folder)
        self._packed = path

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        """Pack the shots.

        Raises:
            StorageFullError: the disk is full.
        """
        super().finish(tracks)
        # Not compressed: JPEG already is. Not strict: zip has no dates before 1980, which a clock
        # that was never set may have.
        with raising_storage_full(), ZipFile(self._packed, "x", strict_timestamps=False) as archive:
            for track in tracks:
                archive.write(self._path(track.track), _name(track))


def unpack_portraits(path: Path, tracks: Sequence[TrackRecord], folder: Path) -> bool:
    """Write `<track>.jpg` for each of these tracks, if the file has all their best shots.

    Returns:
        Whether they were written; if a best shot is missing, none is.

    Raises:
        StorageFullError: the disk is full.
    """
    wanted = {track.track: _name(track) for track in tracks}
    with raising_storage_full(), ZipFile(path) as archive:
        if not set(wanted.values()) <= set(archive.namelist()):
            return False
        for track, name in wanted.items():
            (folder / f"{track}.jpg").write_bytes(archive.read(name))
    return True


def _name(track: TrackRecord) -> str:
    """Return the name of a best shot in the file: its exact frame and box, in hexadecimal."""
    return struct.pack(">q4d", track.best_frame_index, *track.best_box_xyxy).hex()
