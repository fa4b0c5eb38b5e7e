"""Spools an item's faces to disk, so that memory use doesn't grow with the item's length."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

from faces_jobs.jobs.records import FaceRecord, TrackRecord
from faces_jobs.pipeline.values import Face, Frame
from faces_jobs.sinks.lines import (
    attributes_from_values,
    attributes_to_values,
    face_from_values,
    face_to_values,
)
from faces_jobs.storage import raising_storage_full


class FaceSpool:
    """A `Sink` whose faces can be iterated over any number of times, in the order they were added.

    Open it with `with`; its file is deleted on exit.
    """

    def __init__(self, path: Path) -> None:
        """Spool to `path`, a file that is created and deleted again."""
        self._path = path
        self._file: IO[str] | None = None
        self._tracks: tuple[TrackRecord, ...] = ()

    def __enter__(self) -> Self:
        with raising_storage_full():
            self._file = self._path.open("w+", encoding="utf-8")
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            with suppress(OSError):  # a file that is deleted need not be complete
                self._file.close()
            self._file = None
        self._path.unlink(missing_ok=True)

    @property
    def tracks(self) -> tuple[TrackRecord, ...]:
        """The item's tracks; empty before `finish`."""
        return self._tracks

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:  # noqa: ARG002 (a sink's signature)
        """Spool the faces of an analysed frame; other frames only repeat earlier faces.

        Raises:
            StorageFullError: the disk is full.
        """
        if not analysed:
            return
        file = self._open_file()
        with raising_storage_full():
            for face in faces:
                record = face.record
                values = [face_to_values(record), attributes_to_values(record.attributes)]
                file.write(json.dumps(values) + "\n")

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        """Store the item's tracks and close the file: there may be thousands of spools.

        Raises:
            StorageFullError: the disk is full; the last faces could not be written.
        """
        self._tracks = tuple(tracks)
        with raising_storage_full():
            self._open_file().close()
        self._file = None

    def __iter__(self) -> Iterator[FaceRecord]:
        """Read the faces from disk, in the order they were added; only after `finish`."""
        with self._path.open(encoding="utf-8") as file:
            for line in file:
                face, attributes = json.loads(line)
                yield face_from_values(face, attributes_from_values(attributes))

    def _open_file(self) -> IO[str]:
        if self._file is None:
            raise ValueError("the spool is not open: use it inside its `with` block")
        return self._file
