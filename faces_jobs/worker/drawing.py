"""Draws one part of a video: its share of the annotated copy, and the best shots that are in it."""

from __future__ import annotations

import logging
from contextlib import ExitStack

from faces_jobs.db.claims import SegmentClaim
from faces_jobs.db.part_questions import best_shots
from faces_jobs.db.parts import finish_part
from faces_jobs.pipeline.cuts import Part
from faces_jobs.storage import told_when_full
from faces_jobs.worker.between import LINKED, files_between, publish_between
from faces_jobs.worker.drawing_runs import Drawing, draw_part
from faces_jobs.worker.holding import Holding
from faces_jobs.worker.record import Published, record
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.source import open_source

_log = logging.getLogger(__name__)


def draw(claim: SegmentClaim, worker: Worker) -> bool:
    """Draw one part. True: the job is to be finished now.

    Raises:
        NotCuttableError: the part is not what was planned.
        MediaError, StorageFullError, CancelledError, LeaseLostError, ...: as for whole items.
    """
    settings, storage = worker.settings, worker.storage
    part = Part.of(claim.part or {})
    end_frame = None if part.is_last else part.first_frame + part.frames
    shots = best_shots(
        worker.database, claim.item_id, start_frame=part.first_frame, end_frame=end_frame
    )
    with ExitStack() as stack:
        heartbeat = stack.enter_context(Holding(claim, worker))
        stack.enter_context(told_when_full())
        source = stack.enter_context(open_source(claim, storage=storage, roots=settings.roots))
        workspace = stack.enter_context(storage.workspace(claim.token))
        out = workspace / "out"
        out.mkdir()
        linked = files_between(claim, worker, LINKED, workspace=workspace, only=part.number)
        drawing = Drawing(
            source,
            part,
            shots,
            linked.get(part.number),
            out,
            max_pixels=settings.max_pixels,
            every=settings.batch_size,
        )
        draw_part(drawing, lanes=worker.lanes, on_progress=lambda: heartbeat.progress(0, None))
        files = publish_between(claim, worker, heartbeat, out)
        ended = record(
            worker,
            Published(claim.job_id, str(claim.item_id), claim.token),
            lambda: finish_part(worker.database, claim, files),
        )
    _log.info("part %d: drawn, %d best shots", part.number, len(shots))
    return bool(ended)
