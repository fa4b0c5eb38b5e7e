"""Draws a part during the find stage, while its faces are linked, so that it is decoded once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from faces_jobs.jobs.records import TrackRecord
from faces_jobs.pipeline.cutting.plan import Part
from faces_jobs.pipeline.values import Face, Frame, MediaInfo
from faces_jobs.worker.linking_state import LinkingState
from faces_jobs.worker.stages.encode_runs import RunCopy, split_into_runs


class DrawingAhead:
    """A `Sink` that draws a part, run by run, with the faces as linked. A context manager.

    Each run's files are complete when the run has ended.
    """

    def __init__(self, linked: LinkingState, part: Part, folder: Path, info: MediaInfo) -> None:
        """Write into this folder. `LinkingAhead` must link each frame before it is added here."""
        self._linked = linked
        self._runs = split_into_runs(part, annotated=True)
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
            StorageFullError: the disk is full.
        """
        self._copy_of(frame).add(frame, self._linked.shown)

    def finish(self, tracks: Sequence[TrackRecord]) -> None:  # noqa: ARG002 (a sink's signature)
        """Encode what is left.

        Raises:
            StorageFullError: the disk is full.
        """
        self._end_run()

    def _copy_of(self, frame: Frame) -> RunCopy:
        """The copy of the run that contains the frame; ends the run before it."""
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
