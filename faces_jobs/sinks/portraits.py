"""The best shots of a part's own tracks, as a file between the stages.

Which of them are a whole track's is known when the parts are linked. A part then need not be
decoded again for them.
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
    """A `Sink` that packs one best shot a track into a file. Open it with `with`."""

    def __init__(self, path: Path, *, folder: Path) -> None:
        """Write to `path` in the end; until then each shot is a file in `folder`."""
        super().__init__(folder)
        self._packed = path

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        """Pack them.

        Raises:
            StorageFullError: there is no room for it.
        """
        super().finish(tracks)
        # Not packed tighter: JPEG is as small as it gets. Nor strict: a clock may begin in 1970.
        with raising_storage_full(), ZipFile(self._packed, "x", strict_timestamps=False) as pack:
            for track in tracks:
                pack.write(self._path(track.track), _name(track))


def unpack_portraits(path: Path, tracks: Sequence[TrackRecord], folder: Path) -> bool:
    """Write `<track>.jpg` of each of these tracks, if all their best shots are in the file.

    Returns:
        False: not all are, and nothing was written.

    Raises:
        StorageFullError: there is no room for them.
    """
    wanted = {track.track: _name(track) for track in tracks}
    with raising_storage_full(), ZipFile(path) as pack:
        if not set(wanted.values()) <= set(pack.namelist()):
            return False
        for track, name in wanted.items():
            (folder / f"{track}.jpg").write_bytes(pack.read(name))
    return True


def _name(track: TrackRecord) -> str:
    """What a best shot is called: where it was taken, to the last bit."""
    return struct.pack(">q4d", track.best_frame_index, *track.best_box_xyxy).hex()
