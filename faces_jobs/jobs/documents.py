"""The JSON documents of the API: `faces_jobs.results` creates them, clients parse them.

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
    """Base class of all documents: frozen, and rejects unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ErrorDocument(Document):
    """Why an item failed."""

    code: str = Field(description="Stable error code, such as `truncated`.")
    message: str = Field(description="One sentence that says what went wrong and what to do.")

    @classmethod
    def from_error(cls, error: FacesJobsError) -> Self:
        """Create the document from an error's code and message."""
        return cls(code=error.code, message=str(error))


class EvidenceDocument(Document):
    """What is known about the last attempt at work that was given up."""

    attempts: int = Field(description="Number of attempts, including those of lost workers.")
    worker: str | None = Field(
        description="Name of the last attempt's worker: host, process id, and a part unique to its "
        "start."
    )
    exit_signal: str | None = Field(
        description="The signal that killed the worker, such as `SIGKILL`, if known."
    )
    said: str | None = Field(
        description="The error that ended the attempt; null if its worker stopped reporting."
    )
    peak_memory_bytes: int | None = Field(
        description="Peak memory of the worker's process, as last reported."
    )
    last_frame: int | None = Field(description="The last frame reported as being processed.")


class ModelDocument(Document):
    """A network that produced results of the job."""

    name: str
    version: str
    sha256: str
    unsure_below: dict[str, float] = Field(
        default_factory=dict,
        description="For each of its heads, the threshold: attributes less probable are `unsure`.",
    )


class Progress(Document):
    """Progress of a job or an item."""

    frames_done: int = Field(ge=0)
    frames_total: int | None = Field(
        description="Null while unknown: not every container says how many frames it holds."
    )
    fraction: float | None = Field(
        ge=0,
        le=1,
        description="Fraction of the work done, in which a job's refused files do not count; "
        "1 once ended.",
    )
    frames_per_second: float | None = Field(
        description="The measured processing rate; null while the job is on hold."
    )
    eta_seconds: float | None = Field(
        description="Estimated seconds left, by the measured rate; null while unknown, and while "
        "the job is on hold (`paused`, `waiting_for_space`)."
    )


class ItemDocument(Document):
    """One file of a job."""

    id: int
    position: int = Field(description="Order within the job, from 0.")
    name: str = Field(description="The name that the file was submitted under, including folders.")
    status: ItemStatus
    error: ErrorDocument | None
    evidence: EvidenceDocument | None = Field(
        description="About the last attempt, if the file was given up."
    )
    kind: str | None = Field(description="`image` or `video`; null until known.")
    format: str | None
    width: int | None
    height: int | None
    duration_ms: float | None
    bytes: int
    face_count: int
    track_count: int
    damaged_frames: int = Field(
        default=0,
        description="Frames that are missing or incomplete because the file is damaged there.",
    )
    missing_files: int = Field(
        default=0, description="Artifacts of the item whose file is missing from the storage."
    )
    progress: Progress


class JobDocument(Document):
    """One job: state, options, progress and counts."""

    id: str
    status: JobStatus
    label: str
    owner: str = Field(
        description="Whose job it is: owners take turns. Empty: shared by all jobs without one."
    )
    options: JobSpec
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    delete_at: datetime | None = Field(
        description="When the job will be deleted; null: not ended, or kept until somebody deletes "
        "it."
    )
    progress: Progress
    item_count: int
    items_by_status: dict[ItemStatus, int]
    face_count: int
    track_count: int
    damaged_frames: int = Field(default=0, description="Total over all items.")
    can_retry: bool = Field(
        default=False, description="Whether there is anything that a retry would process again."
    )
    models: list[ModelDocument] = Field(
        description="The networks that produced results; empty before the first results."
    )
    error: ErrorDocument | None = Field(
        description="Error of the job itself, not of one of its items."
    )
    evidence: EvidenceDocument | None = Field(
        description="About the last attempt, if writing the exports was given up."
    )


class JobPage(Document):
    """One page of jobs, newest first."""

    jobs: list[JobDocument]
    next_cursor: str | None


class ItemPage(Document):
    """One page of a job's items, in order of position."""

    items: list[ItemDocument]
    next_cursor: str | None


class AttributeDocument(Document):
    """A label and its probability."""

    label: str = Field(
        description="One of the attribute's labels, or `unsure` if the most probable of them is "
        "below the threshold in force (see the job's `models`).",
        json_schema_extra={"enum": [*_LABELS]},
    )
    probability: float = Field(
        ge=0,
        le=1,
        description="Probability of the most probable label, also if `label` is `unsure`.",
    )


class BoxDocument(Document):
    """A face's box, in pixels of the original frame."""

    left: float
    top: float
    right: float
    bottom: float


class TrackDocument(Document):
    """One face through the frames of an item, with its attributes by vote."""

    job_id: str
    item_id: int
    item_name: str
    track: int = Field(description="Track number within the item, from 1.")
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
    """One page of tracks, ordered by item and track number."""

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
    """One page of faces, ordered by item, frame and face index."""

    faces: list[FaceDocument]
    next_cursor: str | None


class ArtifactDocument(Document):
    """A stored file that can be downloaded."""

    id: int
    job_id: str
    item_id: int | None = Field(description="Null for files of the whole job.")
    item_name: str | None
    kind: str = Field(
        description="`annotated_image`, `annotated_video`, `thumbnail`, `faces_csv`, "
        "`faces_jsonl`, `faces_parquet`, `tracks_csv`, ..."
    )
    name: str = Field(description="A file name that is unique within the job.")
    media_type: str
    bytes: int
    sha256: str
    track: int | None = Field(description="The track that a thumbnail shows; null for other kinds.")
    missing: bool = Field(
        default=False, description="Whether its file is missing from the storage."
    )


class ArtifactPage(Document):
    """One page of a job's artifacts, in order of creation."""

    artifacts: list[ArtifactDocument]
    next_cursor: str | None


class AuditDocument(Document):
    """What was deleted, and whether that was verified. Contains nothing of the job's content."""

    id: int
    at: datetime
    what: str = Field(description="`job_deleted`.")
    job_id: str
    why: str = Field(description="`asked`: by a user; `expired`: the end of its retention time.")
    by: str = Field(description="`api`, `page` or `retention`.")
    rows: int = Field(description="Number of rows deleted.")
    files: int = Field(description="Number of files deleted.")
    bytes: int = Field(description="Total size of the deleted files.")
    verified_at: datetime | None = Field(
        description="When a check found that no row and no file remains; null: not yet."
    )
    attempts: int = Field(description="Number of checks made.")
    last_error: str | None = Field(description="What the last check found to remain.")


class AuditPage(Document):
    """One page of deletions, newest first."""

    entries: list[AuditDocument]
    next_cursor: str | None


class DeliveryAttemptDocument(Document):
    """One attempt at a delivery."""

    attempt: int = Field(description="Number of the attempt, from 1.")
    started_at: datetime
    ended_at: datetime | None = Field(
        description="Null: in progress, or its sender died during the attempt."
    )
    status: int | None = Field(
        description="The HTTP status of the response; null if there was none."
    )
    error: str | None = Field(description="Why the attempt failed; null if it succeeded.")


class DeliveryDocument(Document):
    """One webhook that was sent, or is waiting to be sent."""

    id: str = Field(
        description="The same for every attempt, so that a receiver can drop duplicates."
    )
    job_id: str
    url: str
    event: str = Field(description="`job.succeeded`, `job.failed`, ...: how the job ended.")
    state: DeliveryState
    created_at: datetime
    next_at: datetime | None = Field(
        description="When the next attempt is due; null if there will be none."
    )
    delivered_at: datetime | None
    given_up_at: datetime | None
    last_status: int | None
    last_error: str | None
    attempts: list[DeliveryAttemptDocument]


class DeliveryPage(Document):
    """One page of a job's webhooks, oldest first."""

    deliveries: list[DeliveryDocument]
    next_cursor: str | None
