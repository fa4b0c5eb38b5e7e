"""What templates may use: numbers, times and sizes as people read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from markupsafe import Markup, escape

from faces_jobs.jobs.damage import damage_text
from faces_jobs.jobs.labels import ANSWERS, HEADS, UNSURE
from faces_jobs.jobs.status import JobStatus
from faces_jobs_web.guard import FORM_FIELD, form_token
from faces_jobs_web.services import current_services

THIN_SPACE = "\u202f"  # narrow, and no line breaks at it

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
    """Give the app's templates their filters and the values that every page has."""
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    words = (kind_name, status_name, damage_text)
    for filter_ in (
        timecode,
        file_size,
        utc_time,
        percent,
        duration,
        time_left,
        count,
        short_id,
        inline_code,
        *words,
    ):
        app.add_template_filter(filter_)
    app.context_processor(_on_every_page)


def _on_every_page() -> dict[str, Any]:
    return {
        "form_token": form_token,
        "form_field": FORM_FIELD,
        "with_login": not current_services().access.is_open,
        "heads": HEADS,
        "answers": ANSWERS,
        "unsure": UNSURE,
        "job_statuses": list(JobStatus),
    }


def inline_code(text: str) -> Markup:
    """A text with what stands between backticks as code, and everything else as it is."""
    escaped = str(escape(text))
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", escaped))  # noqa: S704 (escaped above)


def timecode(milliseconds: float, digits: int = 1) -> str:
    """A time within an item: `0:03.2`, `1:02:03.4`."""
    unit = 10**digits
    seconds, rest = divmod(round(milliseconds * unit / 1000), unit)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    head = f"{hours}:{minute:02}" if hours else f"{minute}"
    return f"{head}:{second:02}.{rest:0{digits}}"


def duration(seconds: float) -> str:
    """How long something takes, in the unit that people would use."""
    if seconds < 1:
        return "less than a second"
    if seconds < 90:
        return f"{round(seconds)} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def time_left(seconds: float) -> str:
    """How long something will still take, as far as is known."""
    return "nearly done" if seconds < 1 else f"about {duration(seconds)} left"


def file_size(number: float) -> str:
    """Bytes in decimal units, as file managers and browsers tell them."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:  # above, it would be shown as 1000
            whole = unit == "B" or number >= 99.95
            return f"{number:.0f} {unit}" if whole else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def utc_time(moment: datetime) -> str:
    """A moment in UTC; the page's script shows it in the reader's own time zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def percent(fraction: float) -> str:
    """A fraction in percent."""
    return f"{fraction * 100:.0f}{THIN_SPACE}%"


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: `1 face`, `2,310 faces`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def kind_name(kind: str) -> str:
    """What people call a kind of artifact."""
    return KIND_NAMES.get(kind, kind.replace("_", " ").capitalize())


def status_name(status: str) -> str:
    """What people call a state of a job or item."""
    return STATUS_NAMES.get(status, status)


def short_id(job_id: str) -> str:
    """Enough of a job's id to tell it from others by eye."""
    return job_id[:8]
