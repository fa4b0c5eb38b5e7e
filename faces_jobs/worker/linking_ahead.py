"""Links a part while its faces are found: by who has found all parts before it, and is alone.

Then its rows are written with it, linking has nothing left to do, and the part can be drawn in the
same go (`drawing_ahead`). Where it can't be done, linking goes over all parts when they are found;
to the same tracks.
"""

from __future__ import annotations

from collections.abc import Sequence

from faces_jobs.db.claims import SegmentClaim
from faces_jobs.db.part_queries import files_of
from faces_jobs.db.processes import live_processes
from faces_jobs.jobs.records import FaceRecord, TrackRecord
from faces_jobs.pipeline.cut_plan import Part
from faces_jobs.pipeline.linking import FoundFace, FoundFrame, Linker
from faces_jobs.pipeline.tracking import scene_of
from faces_jobs.pipeline.values import Face, Frame
from faces_jobs.pipeline.voting import UnsureBelow
from faces_jobs.worker.lead import LinkedSoFar
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.stage_files import FOUND


class LinkingAhead:
    """A `Sink` that goes on linking. It comes before those that go by `linked.shown`."""

    def __init__(self, linked: LinkedSoFar) -> None:
        """Go on from what is linked, which changes."""
        self.linked = linked
        self.records: list[FaceRecord] = []  # of the part, with their tracks

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
        """There is nothing left to do: the tracks given are of this part alone."""


def linking_ahead(
    claim: SegmentClaim, part: Part, worker: Worker, unsure_below: UnsureBelow
) -> LinkingAhead | None:
    """Links this part as it is found; None: that can't be done yet, or had better not be."""
    linked: LinkedSoFar | None
    if part.number == 0:
        linked = LinkedSoFar(claim.item_id, Linker(unsure_below)) if _is_alone(worker) else None
    else:
        found = files_of(worker.database, claim.item_id, FOUND)
        linked = worker.lead.take(claim.item_id, part.number, found)
    return None if linked is None else LinkingAhead(linked)


def _is_alone(worker: Worker) -> bool:
    """Whether nobody else takes parts: several draw them side by side, when all are found."""
    alive = live_processes(worker.database, within_seconds=worker.settings.silent_seconds)
    return all(each.kind != "worker" or each.name == worker.name for each in alive)
