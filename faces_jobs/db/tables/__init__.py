"""The database tables, the single source of truth: messages, files and processes may be lost.

Timestamps are seconds since 1970 by the database's clock. Every large table has the job's id, so
that queries about one job need no join.
"""

from __future__ import annotations

from faces_jobs.db.tables.base import Base, LeaseColumns
from faces_jobs.db.tables.blocks import FACE_BLOCKS
from faces_jobs.db.tables.deliveries import DeliveryAttemptRow, DeliveryRow
from faces_jobs.db.tables.findings import ArtifactRow, AttributeColumns, FaceRow, ModelRow, TrackRow
from faces_jobs.db.tables.jobs import (
    IdempotencyRow,
    ItemRow,
    JobRow,
    SegmentFileRow,
    SegmentRow,
    TurnRow,
)
from faces_jobs.db.tables.operation import AuditRow, MeasureRow, ProcessRow

__all__ = [
    "FACE_BLOCKS",
    "ArtifactRow",
    "AttributeColumns",
    "AuditRow",
    "Base",
    "DeliveryAttemptRow",
    "DeliveryRow",
    "FaceRow",
    "IdempotencyRow",
    "ItemRow",
    "JobRow",
    "LeaseColumns",
    "MeasureRow",
    "ModelRow",
    "ProcessRow",
    "SegmentFileRow",
    "SegmentRow",
    "TrackRow",
    "TurnRow",
]
