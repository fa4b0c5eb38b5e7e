"""What the outside sees of jobs: the JSON documents of the API, made by `results`, read by clients.

Times of day are ISO 8601 in UTC; times within an item are milliseconds from its start.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from faces_jobs.errors import FacesJobsError
from faces_jobs.jobs.labels import LABELS_WITH_UNSURE
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.jobs.status import ItemStatus, JobStatus

_LABELS = dict.fromkeys(label for labels in LABELS_WITH_UNSURE.values() for label in labels)

DeliveryState = Literal["waiting", "delivered", "given_up"]


class Document(BaseModel):
    """Base of all documents: frozen, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ErrorDocument(Document):
    """Why an item failed."""

    code: str = Field(description="Stable name, such as `truncated`.")
    message: str = Field(description="One sentence that says what to do.")

    @classmethod
    def of(cls, error: FacesJobsError) -> Self:
        """What an error tells."""
        return cls(code=error.code, message=str(error))


class EvidenceDocument(Document):
    """What is known of the last attempt at work that was given up."""

    attempts: int = Field(description="How many there were, those of lost workers included.")
    worker: str | None = Field(description="Who made the last one: machine, process, life.")
    exit_signal: str | None = Field(
        description="The signal that killed it, such as `SIGKILL`, where that is known."
    )
    said: str | None = Field(description="What ended it; none where its worker fell silent.")
    peak_memory_bytes: int | None = Field(
        description="The most memory its process had used when it was last heard of."
    )
    last_frame: int | None = Field(description="The frame that it was at by then.")


class ModelDocument(Document):
    """A network whose answers are in the results."""

    name: str
    version: str
    sha256: str
    unsure_below: dict[str, float] = Field(
        default_factory=dict,
        description="Of each of its heads, the probability below which answers were `unsure`.",
    )


class Progress(Document):
    """How far a job or an item is."""

    frames_done: int = Field(ge=0)
    frames_total: int | None = Field(
        description="None while it is not known: containers do not always tell."
    )
    fraction: float | None = Field(ge=0, le=1, description="Done of total; 1 when ended.")
    frames_per_second: float | None = Field(description="The measured rate of work.")
    eta_seconds: float | None = Field(description="From the measured rate; None while unknown.")


class ItemDocument(Document):
    """One file of a job."""

    id: int
    position: int = Field(description="Order within the job, from 0.")
    name: str = Field(description="The name it was submitted under, with its folders.")
    status: ItemStatus
    error: ErrorDocument | None
    evidence: EvidenceDocument | None = Field(description="Of a file that was given up.")
    kind: str | None = Field(description="`image` or `video`, once known.")
    format: str | None
    width: int | None
    height: int | None
    duration_ms: float | None
    bytes: int
    face_count: int
    track_count: int
    damaged_frames: int = Field(
        default=0,
        description="Frames left out, or shown in part, because the file is damaged there.",
    )
    missing_files: int = Field(
        default=0, description="Files made for it that are gone from the storage."
    )
    progress: Progress


class JobDocument(Document):
    """One job, whole."""

    id: str
    status: JobStatus
    label: str
    owner: str = Field(description="Who takes turns with others; empty: all who did not say.")
    options: JobSpec
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    delete_at: datetime | None = Field(
        description="When it will be deleted; None: not ended, or kept until somebody deletes it."
    )
    progress: Progress
    item_count: int
    items_by_status: dict[ItemStatus, int]
    face_count: int
    track_count: int
    damaged_frames: int = Field(default=0, description="Of all its items together.")
    can_retry: bool = Field(
        default=False, description="Whether a retry would find anything to work on."
    )
    models: list[ModelDocument] = Field(description="Those that answered; empty before any did.")
    error: ErrorDocument | None = Field(description="Of the job itself, not of one item.")
    evidence: EvidenceDocument | None = Field(description="Of exports that were given up.")


class JobPage(Document):
    """Jobs, newest first."""

    jobs: list[JobDocument]
    next_cursor: str | None


class ItemPage(Document):
    """Items of a job in their order."""

    items: list[ItemDocument]
    next_cursor: str | None


class AttributeDocument(Document):
    """A label and its probability."""

    label: str = Field(
        description="One of the attribute's labels, or `unsure` where the likeliest of them is "
        "below the threshold in force (see the job's `models`).",
        json_schema_extra={"enum": [*_LABELS]},
    )
    probability: float = Field(
        ge=0, le=1, description="Of the likeliest label, also where it is `unsure`."
    )


class BoxDocument(Document):
    """Pixels of the original frame."""

    left: float
    top: float
    right: float
    bottom: float


class TrackDocument(Document):
    """One face through the frames of an item, with settled attributes."""

    job_id: str
    item_id: int
    item_name: str
    track: int = Field(description="From 1 within the item.")
    first_frame_index: int
    last_frame_index: int
    first_time_ms: float
    last_time_ms: float
    face_count: int
    mean_score: float
    best_frame_index: int
    best_time_ms: float
    best_box: BoxDocument
    attributes: dict[str, AttributeDocument]
    thumbnail_artifact_id: int | None


class TrackPage(Document):
    """Tracks in the order of items and numbers."""

    tracks: list[TrackDocument]
    next_cursor: str | None


class FaceDocument(Document):
    """One face in one frame."""

    job_id: str
    item_id: int
    item_name: str
    frame_index: int
    time_ms: float
    face_index: int
    track: int
    box: BoxDocument
    score: float
    attributes: dict[str, AttributeDocument]


class FacePage(Document):
    """Faces in the order of items, frames and positions."""

    faces: list[FaceDocument]
    next_cursor: str | None


class ArtifactDocument(Document):
    """A stored file that can be downloaded."""

    id: int
    job_id: str
    item_id: int | None = Field(description="None for files of the whole job.")
    item_name: str | None
    kind: str = Field(
        description="`annotated_image`, `annotated_video`, `thumbnail`, `faces_csv`, "
        "`faces_jsonl`, `faces_parquet`, `tracks_csv`, ..."
    )
    name: str = Field(description="A file name that is distinct within the job.")
    media_type: str
    bytes: int
    sha256: str
    track: int | None = Field(description="The track that a thumbnail shows.")
    missing: bool = Field(default=False, description="Its file is gone from the storage.")


class ArtifactPage(Document):
    """Artifacts of a job."""

    artifacts: list[ArtifactDocument]
    next_cursor: str | None


class AuditDocument(Document):
    """What was deleted, and whether it was seen to be gone. Holds nothing of the job's content."""

    id: int
    at: datetime
    what: str = Field(description="`job_deleted`.")
    job_id: str
    why: str = Field(description="`asked`, or `expired`: kept as long as it was to be.")
    by: str = Field(description="`api`, `page` or `retention`.")
    rows: int = Field(description="Rows that were deleted.")
    files: int = Field(description="Files that were removed.")
    bytes: int = Field(description="Their bytes together.")
    verified_at: datetime | None = Field(
        description="When a look showed that no row and no file remains; None: not yet."
    )
    attempts: int = Field(description="Looks that were taken.")
    last_error: str | None = Field(description="What remained at the last look.")


class AuditPage(Document):
    """Deletions, newest first."""

    entries: list[AuditDocument]
    next_cursor: str | None


class DeliveryAttemptDocument(Document):
    """One try at a delivery."""

    attempt: int = Field(description="From 1.")
    started_at: datetime
    ended_at: datetime | None = Field(description="None: being made, or its sender died at it.")
    status: int | None = Field(description="The HTTP status that was answered, if any was.")
    error: str | None = Field(description="What was wrong; None where it arrived.")


class DeliveryDocument(Document):
    """One webhook that was sent, or is to be."""

    id: str = Field(description="The same at each attempt, so that a receiver can drop doubles.")
    job_id: str
    url: str
    event: str = Field(description="`job.succeeded`, `job.failed`, ...: how the job ended.")
    state: DeliveryState
    created_at: datetime
    next_at: datetime | None = Field(description="Of the next attempt; None when none follows.")
    delivered_at: datetime | None
    given_up_at: datetime | None
    last_status: int | None
    last_error: str | None
    attempts: list[DeliveryAttemptDocument]


class DeliveryPage(Document):
    """Webhooks of a job, oldest first."""

    deliveries: list[DeliveryDocument]
    next_cursor: str | None
