"""Rings for segments: sends their queue messages, and records that they were sent."""

from __future__ import annotations

import logging

from faces_jobs.db.segments.overdue import mark_segments_rung
from faces_jobs.errors import DatabaseError, QueueError, StorageFullError
from faces_jobs.worker.resources import Worker

_log = logging.getLogger(__name__)


def ring(segments: list[int], worker: Worker) -> None:
    """Send a message for each segment. Segments without one are found by the sweep."""
    try:
        for segment_id in segments:
            worker.queue.ring_segment(segment_id)
        mark_segments_rung(worker.database, segments)
    except (QueueError, DatabaseError, StorageFullError) as error:
        _log.warning("not rung for, left to the sweep: %s", error)
