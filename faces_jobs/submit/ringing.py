"""The bell after a submission: workers are told which segments there are to claim."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from faces_jobs.db.jobs import NewItem
from faces_jobs.db.overdue import mark_all_segments_rung
from faces_jobs.db.session import Database
from faces_jobs.errors import DatabaseError, QueueError, StorageFullError
from faces_jobs.queue import Queue

# Of one submission's images: enough to wake all workers of a machine. Who answers one rings for
# the next; what else there may be the sweep tells.
MAX_IMAGE_RINGS = 16

_log = logging.getLogger(__name__)


def segments_to_ring(items: Sequence[NewItem], segments: Sequence[int]) -> list[int]:
    """The segments to ring for: images are worked on many at a time, by who hears of one."""
    usable = [item for item in items if item.error is None]
    pairs = zip(usable, segments, strict=True)
    images = [number for item, number in pairs if item.kind == "image"]
    unheard = frozenset(images[MAX_IMAGE_RINGS:])
    return [number for number in segments if number not in unheard]


def ring(database: Database, queue: Queue, job_id: str, segments: Sequence[int]) -> None:
    """Tell the workers. What can't be told now is told by the sweep: the rows are committed."""
    try:
        for segment_id in segments:
            queue.ring_segment(segment_id)
        mark_all_segments_rung(database, job_id)
    except (QueueError, DatabaseError, StorageFullError) as error:
        _log.warning("job %s is stored, but its workers were not told: %s", job_id, error)
