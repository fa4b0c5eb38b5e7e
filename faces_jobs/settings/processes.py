"""Settings of the processes: their number, leases, retries, intervals and logs."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

# Beyond any use, and within what clocks and timers can represent.
MAX_INTERVAL_SECONDS = 365 * 24 * 3600


class ProcessSettings(BaseModel):
    """How workers and the sweep claim, retry, report and log."""

    workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Worker processes that `faces-jobs up` starts; a video is cut for this "
        "many to share.",
    )
    lease_seconds: float = Field(
        default=30.0,
        gt=0,
        le=MAX_INTERVAL_SECONDS,
        description="How long a claim is valid without being renewed.",
    )
    heartbeat_seconds: float = Field(
        default=2.0,
        gt=0,
        description="How often a worker renews its claim, reports progress and checks for a "
        "cancel.",
    )
    sweep_seconds: float = Field(
        default=10.0,
        gt=0,
        le=MAX_INTERVAL_SECONDS,
        description="How often the sweep looks for work that has waited too long.",
    )
    reconcile_seconds: float = Field(
        default=60.0,
        gt=0,
        le=MAX_INTERVAL_SECONDS,
        description="How often rows, broker and storage are compared and repaired.",
    )
    ring_again_seconds: float = Field(
        default=30.0,
        gt=0,
        le=MAX_INTERVAL_SECONDS,
        description="Send another queue message for work that has waited this long.",
    )
    max_attempts: int = Field(
        default=3, ge=1, le=100, description="Attempts at a segment before its item fails."
    )
    presence_seconds: float = Field(
        default=5.0,
        gt=0,
        le=MAX_INTERVAL_SECONDS,
        description="How often a process reports that it is alive. After four times as long "
        "without a report it counts as gone.",
    )
    retry_seconds: float = Field(
        default=2.0,
        ge=0,
        le=MAX_INTERVAL_SECONDS,
        description="Delay before the next attempt after a failed one, varied at random by up to "
        "half; it doubles with each further one.",
    )
    retry_max_seconds: float = Field(
        default=300.0,
        ge=0,
        le=MAX_INTERVAL_SECONDS,
        description="Maximum of that delay, and of the interval between checks for free space.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest level that is logged."
    )
    log_format: Literal["text", "json"] = Field(
        default="text",
        description="Log lines for people, or one JSON object per line for machines.",
    )

    @model_validator(mode="after")
    def _check_lease_outlasts_heartbeats(self) -> Self:
        if self.heartbeat_seconds * 2 > self.lease_seconds:
            raise ValueError(
                f"FACES_JOBS_HEARTBEAT_SECONDS ({self.heartbeat_seconds:g}) must be at most half "
                f"of FACES_JOBS_LEASE_SECONDS ({self.lease_seconds:g})"
            )
        return self

    @property
    def presence_timeout_seconds(self) -> float:
        """How long a process may go without reporting before it counts as gone."""
        return 4 * self.presence_seconds
