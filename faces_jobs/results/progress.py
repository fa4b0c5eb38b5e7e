"""How far work is: counted from segments, never going back, with a rate and an estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from faces_jobs.jobs.documents import Progress
from faces_jobs.jobs.status import ItemStatus

# What is not ended is not shown as whole, even where a file holds more frames than it claims.
MAX_UNENDED_FRACTION = 0.99


@dataclass(frozen=True, slots=True)
class Work:
    """Frames of an item or a job. `frames_total` None: some of it is not known yet."""

    frames_done: int
    frames_total: int | None
    ended: bool
    seconds: float | None  # since the work began, up to its end or now; None: not begun


def item_fraction(work: Work) -> float | None:
    """Done of total; None while the total is unknown and frames are being read."""
    if work.ended:
        return 1.0
    if work.seconds is None:
        return 0.0
    if not work.frames_total:
        return None
    return min(work.frames_done / work.frames_total, MAX_UNENDED_FRACTION)


def progress(work: Work, fraction: float | None) -> Progress:
    """The document. `fraction` is given since a job's is not its frames': see `job_fraction`."""
    rate = work.frames_done / work.seconds if work.seconds and work.frames_done else None
    return Progress(
        frames_done=work.frames_done,
        frames_total=work.frames_done if work.ended else work.frames_total,
        fraction=fraction,
        frames_per_second=rate,
        eta_seconds=_eta_seconds(work, fraction, rate),
    )


@dataclass(frozen=True, slots=True)
class ItemsWork:
    """The items of a job that are in one state, summed up."""

    status: ItemStatus
    items: int
    frames_done: int
    frames_total: int  # of the items whose total is known
    unknown: int  # items whose total is not known
    weight: float  # their bytes; at least one each
    weight_done: float  # each one's bytes times its done of total, where known


def job_work(groups: Sequence[ItemsWork], *, ended: bool, seconds: float | None) -> Work:
    """The frames of a whole job."""
    open_groups = [group for group in groups if not group.status.ended]
    known = not any(group.unknown for group in open_groups)
    total = sum(group.frames_done if group.status.ended else group.frames_total for group in groups)
    done = sum(group.frames_done for group in groups)
    return Work(done, total if known else None, ended, seconds)


def job_fraction(groups: Sequence[ItemsWork], *, ended: bool) -> float | None:
    """A job's fraction, from those of its items; None while one that is worked on has none.

    Items are weighed by their bytes, which are known from the start, since frames are not: how
    many a video has is only known when it is opened, and a fraction of a sum that still grows
    would go back.
    """
    if ended:
        return 1.0
    if any(group.unknown for group in groups if group.status is ItemStatus.RUNNING):
        return None
    done = sum(group.weight if group.status.ended else group.weight_done for group in groups)
    whole = sum(group.weight for group in groups)
    return min(done / whole, MAX_UNENDED_FRACTION) if whole else 0.0


def _eta_seconds(work: Work, fraction: float | None, rate: float | None) -> float | None:
    if work.ended:
        return 0.0
    if work.frames_total is not None and rate:
        return max(0.0, (work.frames_total - work.frames_done) / rate)
    if work.seconds is not None and fraction:
        return work.seconds * (1 - fraction) / fraction
    return None
