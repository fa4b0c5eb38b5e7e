"""Computes the rate, remaining time and progress of items and jobs, which never decreases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from faces_jobs.jobs.documents import Progress
from faces_jobs.jobs.status import ItemStatus

# Work that has not ended is never shown as complete, even if a file has more frames than declared.
MAX_UNENDED_FRACTION = 0.99


@dataclass(frozen=True, slots=True)
class Work:
    """Frames of an item or a job."""

    frames_done: int
    frames_total: int | None  # None: not known, at least for a part
    ended: bool
    seconds: float | None  # from the start to the end or until now; None: not started
    frames_kept: int = 0  # done before that start: a retried job keeps its other items


def item_fraction(work: Work) -> float | None:
    """Return the fraction done; None while the total is unknown and frames are being processed."""
    if work.ended:
        return 1.0
    if work.seconds is None:
        return 0.0
    if not work.frames_total:
        return None
    return min(work.frames_done / work.frames_total, MAX_UNENDED_FRACTION)


def progress(work: Work, fraction: float | None, *, on_hold: bool = False) -> Progress:
    """Create the document.

    Args:
        work: the frames.
        fraction: of the work that is done; a parameter since a job's is weighted: `job_fraction`.
        on_hold: the job is paused or waits for space, so time passes without any work: a rate
            would sink, and an estimate of the time left rise.
    """
    if on_hold and not work.ended:
        work = replace(work, seconds=None)
    frames = work.frames_done - work.frames_kept
    rate = frames / work.seconds if work.seconds and frames else None
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
    unknown: int  # items whose total is unknown
    weight: float  # sum of their sizes in bytes, at least 1 each; 0 for refused files
    weight_done: float  # sum of size times fraction done, where known


def job_work(
    groups: Sequence[ItemsWork], *, ended: bool, seconds: float | None, frames_kept: int = 0
) -> Work:
    """Add up the frames of a job."""
    open_groups = [group for group in groups if not group.status.ended]
    known = not any(group.unknown for group in open_groups)
    total = sum(group.frames_done if group.status.ended else group.frames_total for group in groups)
    done = sum(group.frames_done for group in groups)
    return Work(done, total if known else None, ended, seconds, frames_kept)


def job_fraction(groups: Sequence[ItemsWork], *, ended: bool) -> float | None:
    """Return the fraction of a job that is done; None while that of a running item is unknown.

    Items are weighted by their bytes, which are known from the start. A video's number of frames
    is only known once it is opened, so a fraction of the frames would decrease as the total grows.
    """
    if ended:
        return 1.0
    if any(group.unknown for group in groups if group.status is ItemStatus.RUNNING):
        return None
    done = sum(group.weight if group.status.ended else group.weight_done for group in groups)
    total = sum(group.weight for group in groups)
    return min(done / total, MAX_UNENDED_FRACTION) if total else 0.0


def _eta_seconds(work: Work, fraction: float | None, rate: float | None) -> float | None:
    if work.ended:
        return 0.0
    if work.frames_total is not None and rate:
        return max(0.0, (work.frames_total - work.frames_done) / rate)
    if work.seconds is not None and fraction and not work.frames_kept:
        return work.seconds * (1 - fraction) / fraction
    return None
