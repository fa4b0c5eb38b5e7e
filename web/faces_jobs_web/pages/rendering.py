"""Template filters and globals: numbers, times and sizes formatted for people."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from markupsafe import Markup, escape

from faces_jobs.jobs.damage import damage_text
from faces_jobs.jobs.labels import HEADS, LABELS_WITH_UNSURE, UNSURE
from faces_jobs.jobs.status import JobStatus
from faces_jobs.results import job_version
from faces_jobs_web.guard import FORM_FIELD, form_token
from faces_jobs_web.services import current_services

NARROW_NO_BREAK_SPACE = "\u202f"

STATUS_NAMES: dict[str, str] = {
    JobStatus.QUEUED: "Waiting",
    JobStatus.RUNNING: "Running",
    JobStatus.FINISHING: "Finishing",
    JobStatus.PAUSED: "Paused",
    JobStatus.WAITING_FOR_SPACE: "Waiting for space",
    JobStatus.SUCCEEDED: "Done",
    JobStatus.SUCCEEDED_WITH_ERRORS: "Done, with errors",
    JobStatus.FAILED: "Failed",
    JobStatus.CANCELLED: "Cancelled",
}
KIND_NAMES = {
    "annotated_image": "Annotated image",
    "annotated_video": "Annotated video",
    "thumbnail": "Thumbnail",
    "faces_csv": "Faces, CSV",
    "faces_jsonl": "Faces, JSON Lines",
    "faces_parquet": "Faces, Parquet",
    "tracks_csv": "Tracks, CSV",
}


def install_rendering(app: Flask) -> None:
    """Register the filters and globals that the app's templates use."""
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    for template_filter in (
        timecode,
        file_size,
        utc_time,
        percent,
        duration,
        time_left,
        count,
        short_id,
        inline_code,
        kind_name,
        status_name,
        damage_text,
        job_version,
    ):
        app.add_template_filter(template_filter)
    app.context_processor(_global_context)


def _global_context() -> dict[str, Any]:
    return {
        "form_token": form_token,
        "form_field": FORM_FIELD,
        "with_login": not current_services().access.is_open,
        "heads": HEADS,
        "labels_by_head": LABELS_WITH_UNSURE,
        "unsure": UNSURE,
        "job_statuses": list(JobStatus),
    }


def inline_code(text: str) -> Markup:
    """Format text between backticks as code, and escape everything else."""
    escaped = str(escape(text))
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", escaped))  # noqa: S704 (escaped above)


def timecode(milliseconds: float, digits: int = 1) -> str:
    """Format a time within an item: `0:03.2`, `1:02:03.4`."""
    unit = 10**digits
    seconds, fraction = divmod(round(milliseconds * unit / 1000), unit)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    prefix = f"{hours}:{minute:02}" if hours else f"{minute}"
    return f"{prefix}:{second:02}.{fraction:0{digits}}"


def duration(seconds: float) -> str:
    """Format a duration in a suitable unit: `42 s`, `5 min`, `1.5 h`."""
    if seconds < 1:
        return "less than a second"
    if seconds < 90:
        return f"{round(seconds)} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def time_left(seconds: float) -> str:
    """Format an estimate of the time left."""
    return "nearly done" if seconds < 1 else f"about {duration(seconds)} left"


def file_size(number: float) -> str:
    """Format a number of bytes in decimal units, as file managers and browsers do."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:  # from 999.5 up it would be rounded to 1000
            is_whole = unit == "B" or number >= 99.95
            return f"{number:.0f} {unit}" if is_whole else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def utc_time(moment: datetime) -> str:
    """Format a time in UTC; the page's script converts it to the reader's time zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def percent(fraction: float) -> str:
    """Format a fraction as a percentage."""
    return f"{fraction * 100:.0f}{NARROW_NO_BREAK_SPACE}%"


def count(number: int, one: str) -> str:
    """Format a number with its noun: `1 face`, `2,310 faces`."""
    return f"{number:,} {one if number == 1 else one + 's'}"


def kind_name(kind: str) -> str:
    """Return the display name of a kind of artifact."""
    return KIND_NAMES.get(kind, kind.replace("_", " ").capitalize())


def status_name(status: str) -> str:
    """Return the display name of a state of a job or item."""
    return STATUS_NAMES.get(status, status)


def short_id(job_id: str) -> str:
    """Return the first eight characters of a job's id."""
    return job_id[:8]
