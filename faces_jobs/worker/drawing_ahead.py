"""Draws a part while its faces are found and linked, which spares decoding it again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from faces_jobs.jobs.records import TrackRecord
from faces_jobs.pipeline.cut_plan import Part
from faces_jobs.pipeline.values import Face, Frame, MediaInfo
from faces_jobs.worker.encode_runs import RunCopy, runs_of
from faces_jobs.worker.lead import LinkedSoFar


class DrawingAhead:
    """A `Sink` that draws a part, in its runs, with the faces as linked. Open it with `with`.

    Each run's files are there when the run is over.
    """

    def __init__(self, linked: LinkedSoFar, part: Part, folder: Path, info: MediaInfo) -> None:
        """Write into this folder. `LinkingAhead` has linked each frame before it is added."""
        self._linked = linked
        self._runs = runs_of(part, copied=True)
        self._folder = folder
        self._info = info
        self._opened = ExitStack()
        self._copy: RunCopy | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.__exit__(kind, error, trace)

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:  # noqa: ARG002 (a sink's signature)
        """Draw a frame with the faces that were linked last.

        Raises:
            StorageFullError: there is no room for it.
        """
        self._copy_of(frame).add(frame, self._linked.shown)

    def finish(self, tracks: Sequence[TrackRecord]) -> None:  # noqa: ARG002 (a sink's signature)
        """Encode what is left.

        Raises:
            StorageFullError: there is no room for it.
        """
        self._end_run()

    def _copy_of(self, frame: Frame) -> RunCopy:
        """The run's that the frame is in."""
        if self._copy is None or frame.index not in self._runs[0]:
            self._end_run()
            while frame.index not in self._runs[0]:
                del self._runs[0]
            copy = RunCopy(self._runs[0], self._folder, self._info)
            self._copy = self._opened.enter_context(copy)
        return self._copy

    def _end_run(self) -> None:
        if self._copy is not None:
            self._copy.finish()
            self._opened.close()
            self._copy = None
