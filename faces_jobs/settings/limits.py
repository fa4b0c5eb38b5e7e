"""Settings of limits: on one submission, on all queued work, and on that of one owner."""

from __future__ import annotations

from pydantic import BaseModel, Field


class LimitSettings(BaseModel):
    """Limits on one submission, on all queued work, and on that of one owner."""

    max_upload_bytes: int = Field(
        default=4 * 1024**3,
        ge=1,
        description="Maximum bytes of one submission, all files together (else 413).",
    )
    max_files: int = Field(
        default=10_000, ge=1, description="Maximum number of files in one submission (else 413)."
    )
    max_pixels: int = Field(
        default=100_000_000,
        ge=1,
        description="Maximum pixels (width x height) of a frame; larger ones are rejected "
        "without being decoded.",
    )
    min_free_bytes: int = Field(
        default=200 * 1024**2,
        ge=0,
        description="Bytes to keep free in the data folder; with less, no submission is accepted.",
    )
    max_queued_jobs: int = Field(
        default=10_000,
        ge=0,
        description="Maximum number of jobs that wait or run (else 429). 0: no limit.",
    )
    max_queued_items: int = Field(
        default=1_000_000,
        ge=0,
        description="Maximum number of files in those jobs (else 429). 0: no limit.",
    )
    max_queued_bytes: int = Field(
        default=0, ge=0, description="Maximum bytes of those files (else 429). 0: no limit."
    )
    max_owner_jobs: int = Field(
        default=0,
        ge=0,
        description="Maximum number of one owner's jobs that wait or run (else 429). 0: no limit.",
    )
    max_owner_items: int = Field(
        default=0,
        ge=0,
        description="Maximum number of files in those jobs (else 429). 0: no limit.",
    )
    max_owner_bytes: int = Field(
        default=0, ge=0, description="Maximum bytes of those files (else 429). 0: no limit."
    )
