"""Processes a whole item in one segment: an image, or a video that is short or can't be cut."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, ExitStack

from faces_jobs.db.claims.fencing import SegmentClaim
from faces_jobs.db.results.outcomes import SegmentResults
from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.protocols import FrameReader
from faces_jobs.pipeline.run import run_item
from faces_jobs.sinks.spool import FaceSpool
from faces_jobs.worker.artifacts import ItemArtifacts
from faces_jobs.worker.attempt import segment_attempt
from faces_jobs.worker.facts import RunCounter, facts_of, models_of
from faces_jobs.worker.resources import Worker

_log = logging.getLogger(__name__)


def process_whole(claim: SegmentClaim, worker: Worker) -> bool:
    """Process the whole item. True: the job can be finished now.

    Raises:
        MediaError: the file can't be processed.
        Exception: whatever `segment_attempt` raises.
    """
    settings = worker.settings
    with ExitStack() as stack:
        attempt = stack.enter_context(segment_attempt(claim, worker))
        analysis = worker.analysis_for(claim.spec)
        path = stack.enter_context(attempt.source())
        frames: AbstractContextManager[FrameReader] = open_frames(
            path, max_pixels=settings.max_pixels
        )
        reader = stack.enter_context(frames)
        spool = stack.enter_context(FaceSpool(attempt.workspace / "faces"))
        artifacts = ItemArtifacts(claim, attempt.out)
        with artifacts.sinks(path, reader.info, encoder=settings.encoder) as sinks:
            report = run_item(
                reader,
                analysis,
                [spool, *sinks],
                batch_size=settings.batch_size,
                lanes=worker.lanes,
                on_progress=attempt.heartbeat.progress,
                on_counts=RunCounter(worker.counters),
            )
        results = SegmentResults(
            facts=facts_of(reader.info),
            frames=report.frames_read,
            damaged_frames=report.damaged_frames,
            faces=spool,
            tracks=spool.tracks,
            artifacts=artifacts.rows(attempt.publish()),
            models=models_of(analysis),
            error=None if report.truncated is None else ErrorDocument.from_error(report.truncated),
        )
        job_done = attempt.record(lambda: finish_segment(worker.database, claim, results))
    _log.info(
        "%d frames, %d faces, %d tracks; seconds: %s",
        report.frames_read,
        report.faces,
        report.tracks,
        " ".join(f"{stage}={spent:.2f}" for stage, spent in report.stage_seconds.items()),
    )
    return bool(job_done)
