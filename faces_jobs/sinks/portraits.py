"""The best shots of a part's own tracks, as a file between the stages.

Which of them are a whole track's is known when the parts are linked. A part then need not be
decoded again for them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import ZipFile

from faces_jobs.jobs.records import BoxXyxy, TrackRecord
from faces_jobs.pipeline.values import Face, Frame
from faces_jobs.sinks.thumbnails import Thumbnails
from faces_jobs.storage import told_when_full


class Portraits(Thumbnails):
    """A `Sink` that packs one best shot a track into a file. Open it with `with`."""

    def __init__(self, path: Path, *, folder: Path) -> None:
        """Write to `path` in the end; until then each shot is a file in `folder`."""
        super().__init__(folder)
        self._packed = path
        self._names: dict[int, str] = {}

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        """Pack them.

        Raises:
            StorageFullError: there is no room for it.
        """
        super().finish(tracks)
        # Not packed tighter: JPEG is as small as it gets. Nor strict: a clock may begin in 1970.
        with told_when_full(), ZipFile(self._packed, "x", strict_timestamps=False) as pack:
            for track, path in self.paths():
                pack.write(path, self._names[track])

    def _keep(self, frame: Frame, face: Face) -> None:
        super()._keep(frame, face)
        self._names[face.record.track] = _name(frame.index, face.record.box_xyxy)


def unpack_portraits(path: Path, tracks: Sequence[TrackRecord], folder: Path) -> bool:
    """Write `<track>.jpg` of each of these tracks, if all their best shots are in the file.

    Returns:
        False: not all are, and nothing was written.

    Raises:
        StorageFullError: there is no room for them.
    """
    wanted: Mapping[int, str] = {
        track.track: _name(track.best_frame_index, track.best_box_xyxy) for track in tracks
    }
    with told_when_full(), ZipFile(path) as pack:
        if not set(wanted.values()) <= set(pack.namelist()):
            return False
        for track, name in wanted.items():
            (folder / f"{track}.jpg").write_bytes(pack.read(name))
    return True


def _name(frame_index: int, box_xyxy: BoxXyxy) -> str:
    """What a shot is called: where it was taken, to the last bit."""
    return struct.pack(">q4d", frame_index, *box_xyxy).hex()
