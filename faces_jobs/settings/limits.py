"""Settings of what is refused: the most that is taken at once, or waits at a time."""

from __future__ import annotations

from pydantic import BaseModel, Field


class LimitSettings(BaseModel):
    """The most of a submission, of all that wait, and of one owner's that wait."""

    max_upload_bytes: int = Field(
        default=4 * 1024**3, ge=1, description="Largest submission, all files together (else 413)."
    )
    max_files: int = Field(
        default=10_000, ge=1, description="Most files in one submission (else 413)."
    )
    max_pixels: int = Field(
        default=100_000_000,
        ge=1,
        description="Most pixels (width x height) of a frame; larger ones are refused "
        "without being decoded.",
    )
    min_free_bytes: int = Field(
        default=200 * 1024**2,
        ge=0,
        description="Space to keep free in the data folder; with less, nothing is accepted.",
    )
    max_queued_jobs: int = Field(
        default=10_000,
        ge=0,
        description="Most jobs that wait or run; more are refused (429). 0: no limit.",
    )
    max_queued_items: int = Field(
        default=1_000_000, ge=0, description="Most files in those jobs, likewise."
    )
    max_queued_bytes: int = Field(
        default=0, ge=0, description="Most bytes of those files, likewise."
    )
    max_owner_jobs: int = Field(
        default=0,
        ge=0,
        description="Most jobs of one owner that wait or run; more are refused (429). 0: no limit.",
    )
    max_owner_items: int = Field(
        default=0, ge=0, description="Most files in the jobs of one owner, likewise."
    )
    max_owner_bytes: int = Field(
        default=0, ge=0, description="Most bytes of the files of one owner, likewise."
    )
