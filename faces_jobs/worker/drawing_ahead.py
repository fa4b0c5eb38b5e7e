"""Draws a part while its faces are found, which spares decoding it again.

That takes the tracks of all parts before it. A worker that found these has them; who is alone
finds all parts, one after the other. Linking goes over them again afterwards, to the same tracks.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from faces_jobs.db.claims import SegmentClaim
from faces_jobs.db.part_questions import files_of
from faces_jobs.db.processes import live_processes
from faces_jobs.jobs.records import TrackRecord
from faces_jobs.pipeline.cuts import Part
from faces_jobs.pipeline.linking import FoundFace, FoundFrame, Linker
from faces_jobs.pipeline.tracking import scene_of
from faces_jobs.pipeline.values import Face, Frame, MediaInfo
from faces_jobs.pipeline.voting import UnsureBelow
from faces_jobs.worker.between import FOUND
from faces_jobs.worker.lead import LinkedSoFar
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.runs import RunCopy, runs_of


class DrawingAhead:
    """A `Sink` that links a part's faces and draws them, in the part's runs. Open it with `with`.

    Each run's files are there when the run is over.
    """

    def __init__(self, linked: LinkedSoFar, part: Part, folder: Path, info: MediaInfo) -> None:
        """Go on from what is linked, which changes, and write into this folder."""
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

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:
        """Draw a frame with the faces of this one, or of the last that was analysed.

        Raises:
            StorageFullError: there is no room for it.
        """
        if analysed:
            self._linked.shown = self._linked.linker.follow(
                FoundFrame(
                    frame.index,
                    frame.time_ms,
                    [FoundFace(face.record, face.opinion, face.quality) for face in faces],
                    scene=scene_of(frame.picture_bgr),
                )
            )
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


def linked_before(
    claim: SegmentClaim, part: Part, worker: Worker, unsure_below: UnsureBelow
) -> LinkedSoFar | None:
    """What linking this part goes on from; None: it can't be drawn yet, or had better not be."""
    if not claim.spec.annotated:
        return None
    if part.number == 0:
        return LinkedSoFar(claim.item_id, Linker(unsure_below)) if _is_alone(worker) else None
    found = files_of(worker.database, claim.item_id, FOUND)
    return worker.lead.take(claim.item_id, part.number, found)


def _is_alone(worker: Worker) -> bool:
    """Whether nobody else takes parts: several draw them side by side, when all are found."""
    alive = live_processes(worker.database, within_seconds=worker.settings.silent_seconds)
    return all(each.kind != "worker" or each.name == worker.name for each in alive)
