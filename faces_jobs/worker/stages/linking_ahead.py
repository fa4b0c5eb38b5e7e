"""Links a part during the find stage, if its worker is alone and has found all parts before it.

The part's rows are then written with it, the link stage has little left to do, and the part can be
drawn at the same time (`drawing_ahead`). Otherwise the link stage goes over all parts once they are
found, with the same tracks as the result.
"""

from __future__ import annotations

from collections.abc import Sequence

from faces_jobs.db.claims.fencing import SegmentClaim
from faces_jobs.db.processes import live_processes
from faces_jobs.db.segments.part_queries import files_of
from faces_jobs.jobs.records import FaceRecord, TrackRecord
from faces_jobs.pipeline.cutting.plan import Part
from faces_jobs.pipeline.linking import FoundFace, FoundFrame, Linker
from faces_jobs.pipeline.tracking import scene_of
from faces_jobs.pipeline.values import Face, Frame
from faces_jobs.pipeline.voting import UnsureBelow
from faces_jobs.worker.linking_state import LinkingState
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.stages.files import FOUND


class LinkingAhead:
    """A `Sink` that links faces. It must come before the sinks that read `linked.shown`."""

    def __init__(self, linked: LinkingState) -> None:
        """Continue from this state, which is updated."""
        self.linked = linked
        self.records: list[FaceRecord] = []  # the part's faces, with their tracks

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:
        """Link the faces of an analysed frame."""
        if not analysed:
            return
        found = [FoundFace(face.record, face.opinion, face.quality) for face in faces]
        scene = scene_of(frame.picture_bgr)
        shown = self.linked.linker.link_frame(
            FoundFrame(frame.index, frame.time_ms, found, scene=scene)
        )
        self.linked.shown = shown
        self.records += [face.record for face in shown]

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        """Does nothing: the given tracks are of this part alone."""


def linking_ahead(
    claim: SegmentClaim, part: Part, worker: Worker, unsure_below: UnsureBelow
) -> LinkingAhead | None:
    """The sink that links this part as it is found; None if the link stage has to do it."""
    linked: LinkingState | None
    if part.number == 0:
        linked = LinkingState(claim.item_id, Linker(unsure_below)) if _is_alone(worker) else None
    else:
        found = files_of(worker.database, claim.item_id, FOUND)
        linked = worker.linking_state.take(claim.item_id, part.number, found)
    return None if linked is None else LinkingAhead(linked)


def _is_alone(worker: Worker) -> bool:
    """Whether no other worker is alive: several workers are faster at drawing parts in parallel."""
    alive = live_processes(worker.database, within_seconds=worker.settings.presence_timeout_seconds)
    return all(process.kind != "worker" or process.name == worker.name for process in alive)
