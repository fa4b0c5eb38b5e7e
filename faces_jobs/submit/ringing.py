"""Sends queue messages for the segments of a new job."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from faces_jobs.db.jobs.changes import NewItem
from faces_jobs.db.segments.overdue import mark_all_segments_rung
from faces_jobs.db.session import Database
from faces_jobs.errors import DatabaseError, QueueError, StorageFullError
from faces_jobs.queue.producer import Queue

# Messages for one submission's images: enough to wake all workers of a machine. A worker that
# claims a bundle rings for the next images; the sweep rings for what is left.
MAX_IMAGE_RINGS = 16

_log = logging.getLogger(__name__)


def segments_to_ring(items: Sequence[NewItem], segments: Sequence[int]) -> list[int]:
    """Return the segments to ring for: not those of all images, since they are claimed in bundles.

    `segments` are those of the usable items, in order.
    """
    usable = [item for item in items if item.error is None]
    pairs = zip(usable, segments, strict=True)
    images = [segment_id for item, segment_id in pairs if item.kind == "image"]
    skipped = frozenset(images[MAX_IMAGE_RINGS:])
    return [segment_id for segment_id in segments if segment_id not in skipped]


def ring(database: Database, queue: Queue, job_id: str, segments: Sequence[int]) -> None:
    """Send messages for a committed job's segments. If that fails, the sweep sends them later."""
    try:
        for segment_id in segments:
            queue.ring_segment(segment_id)
        mark_all_segments_rung(database, job_id)
    except (QueueError, DatabaseError, StorageFullError) as error:
        _log.warning("job %s is stored, but its messages could not be sent: %s", job_id, error)
