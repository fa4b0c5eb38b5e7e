"""Faces of one item kept on disk while its run goes on, so that memory does not grow with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from faces_jobs.jobs.records import FaceRecord, TrackRecord
from faces_jobs.pipeline.values import Face, Frame
from faces_jobs.sinks.lines import attributes_of, face_of, values_of_attributes, values_of_face
from faces_jobs.storage import raising_storage_full


class FaceSpool:
    """A `Sink` that gives back, in their order and as often as asked, the faces it was given.

    Open it with `with`; its file is removed on the way out.
    """

    def __init__(self, path: Path) -> None:
        """`path` names a file that is made, and removed again, by this spool."""
        self._path = path
        self._file: IO[str] | None = None
        self._tracks: tuple[TrackRecord, ...] = ()

    def __enter__(self) -> Self:
        with raising_storage_full():
            self._file = self._path.open("w+", encoding="utf-8")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            with suppress(OSError):  # what is removed need not be whole
                self._file.close()
            self._file = None
        self._path.unlink(missing_ok=True)

    @property
    def tracks(self) -> tuple[TrackRecord, ...]:
        """The item's tracks; empty before `finish`."""
        return self._tracks

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:  # noqa: ARG002 (a sink's signature)
        """Keep the faces of an analysed frame; the others only repeat what is known.

        Raises:
            StorageFullError: there is no room for them.
        """
        if not analysed:
            return
        file = self._open_file()
        with raising_storage_full():
            for face in faces:
                record = face.record
                values = [values_of_face(record), values_of_attributes(record.attributes)]
                file.write(json.dumps(values) + "\n")

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        """Keep the item's tracks, and hold no file open from here on: there may be thousands.

        Raises:
            StorageFullError: there is no room for what was held back so far.
        """
        self._tracks = tuple(tracks)
        with raising_storage_full():
            self._open_file().close()
        self._file = None

    def __iter__(self) -> Iterator[FaceRecord]:
        """Read the faces back from disk, in the order in which they came; after `finish`."""
        with self._path.open(encoding="utf-8") as file:
            for line in file:
                face, attributes = json.loads(line)
                yield face_of(face, attributes_of(attributes))

    def _open_file(self) -> IO[str]:
        if self._file is None:
            raise ValueError("the spool is not open: use it inside its `with` block")
        return self._file
