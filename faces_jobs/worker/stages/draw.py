"""The draw stage: one part's annotated copy, and the best shots among its frames."""

from __future__ import annotations

import logging

from faces_jobs.db.claims.fencing import SegmentClaim
from faces_jobs.db.segments.part_queries import best_shots
from faces_jobs.db.segments.parts import finish_part
from faces_jobs.pipeline.cutting.plan import Part
from faces_jobs.worker.attempt import segment_attempt
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.stages.drawing_runs import Drawing, draw_part
from faces_jobs.worker.stages.files import LINKED, publish_stage_files, stage_files

_log = logging.getLogger(__name__)


def draw(claim: SegmentClaim, worker: Worker) -> bool:
    """Draw one part. True: the job can be finished now.

    Raises:
        NotCuttableError: the part is not what was planned.
        MediaError: the file can't be read.
        Exception: whatever `segment_attempt` raises.
    """
    settings = worker.settings
    part = Part.from_json(claim.part or {})
    end_frame = None if part.is_last else part.first_frame + part.frames
    shots = best_shots(
        worker.database, claim.item_id, start_frame=part.first_frame, end_frame=end_frame
    )
    with (
        segment_attempt(claim, worker) as attempt,
        attempt.source() as source,
    ):
        drawing = Drawing(
            source,
            part,
            shots,
            stage_files(attempt, LINKED, only=part.number).get(part.number),
            attempt.out,
            max_pixels=settings.max_pixels,
            progress_interval=settings.batch_size,
        )
        draw_part(drawing, lanes=worker.lanes, on_progress=attempt.keep_alive)
        files = publish_stage_files(attempt)
        job_done = attempt.record(lambda: finish_part(worker.database, claim, files))
    _log.info("part %d: drawn, %d best shots", part.number, len(shots))
    return bool(job_done)
