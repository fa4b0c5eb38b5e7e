"""Cuts a video into segments. The first worker that claims the item does this."""

from __future__ import annotations

import logging
from dataclasses import replace

from faces_jobs.db.claims.fencing import SegmentClaim
from faces_jobs.db.segments.parts import NewPart, cut_item, mark_uncut, revert_cut
from faces_jobs.jobs.stages import Stage
from faces_jobs.pipeline.cutting.cuts import plan_parts
from faces_jobs.pipeline.cutting.plan import Plan
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.reading.video_reader import VideoReader
from faces_jobs.worker.held_leases import SegmentLease
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.ringing import ring
from faces_jobs.worker.source import open_source

_log = logging.getLogger(__name__)


def cut(claim: SegmentClaim, worker: Worker) -> SegmentClaim:
    """Cut the claimed item's video, if it is worth it.

    Returns the claim on the first part, or on the whole item if it was not cut.

    Raises:
        MediaError: the file can't be read.
        CancelledError, PausedError, LeaseLostError: the claim no longer holds.
    """
    if claim.stage is not Stage.WHOLE or claim.item_kind == "image":
        return claim
    with SegmentLease(claim, worker) as lease:
        plan = _plan(claim, worker, lease)
        if not plan.parts:
            _log.info("not cut: %s", plan.reason)
            mark_uncut(worker.database, claim, plan.reason)
            return replace(claim, stage=Stage.UNCUT)
        parts = [NewPart(part.first_frame, part.frames, part.to_json()) for part in plan.parts]
        others = cut_item(worker.database, claim, parts)
    _log.info("cut into %d segments", len(parts))
    ring(others, worker)
    return replace(claim, stage=Stage.FIND, part=parts[0].document, end_frame=parts[0].frames)


def restart_uncut(claim: SegmentClaim, worker: Worker, reason: str) -> None:
    """Restart an item in one segment, since its parts don't fit together.

    Raises:
        CancelledError, LeaseLostError: the claim no longer holds; nothing was changed.
    """
    _log.warning("restarted in one segment: %s", reason)
    revert_cut(worker.database, claim, reason)
    ring([claim.segment_id], worker)


def _plan(claim: SegmentClaim, worker: Worker, lease: SegmentLease) -> Plan:
    settings = worker.settings
    with (
        open_source(
            claim,
            storage=worker.storage,
            roots=settings.roots,
            on_progress=lease.keep_alive,
        ) as path,
        open_frames(path, max_pixels=settings.max_pixels) as reader,
    ):
        if not isinstance(reader, VideoReader):
            return Plan((), "it is an animated image")
        return plan_parts(
            path,
            reader.info.format,
            max_pixels=settings.max_pixels,
            first_pts=reader.first_pts,
            seconds=settings.segment_seconds,
            # Not the number of live workers: the cuts affect the frames of the annotated copy,
            # which must be the same even if a worker is killed meanwhile.
            workers=settings.workers,
            stride=claim.spec.frame_stride,
            on_progress=lease.keep_alive,
        )
