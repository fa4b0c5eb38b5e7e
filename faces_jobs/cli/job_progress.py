"""The progress bars of a server's jobs: of sending the files, and of processing them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from faces_jobs.client.api import Client
from faces_jobs.jobs.documents import JobDocument


@contextmanager
def sending_bar(total_bytes: int, console: Console) -> Iterator[Callable[[int], None]]:
    """Show how much of an upload is sent; yields the function that gets each number of bytes.

    Nothing is shown where no terminal is, and nothing remains when all is sent.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("sending", total=total_bytes)
        yield lambda sent: bar.update(task, advance=sent)


def wait_with_bar(client: Client, job_id: str, console: Console) -> JobDocument:
    """Follow a job with a progress bar until it has ended, and return it."""
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
    )
    changes = client.follow(job_id)
    first = next(changes)  # before the bar: there may be no such job
    with bar:
        task = bar.add_task("queued", total=None, rate="")
        for job in chain([first], changes):
            rate = job.progress.frames_per_second
            bar.update(
                task,
                description=job.status.value.replace("_", " "),
                completed=job.progress.frames_done,
                total=job.progress.frames_total,
                rate=f"{rate:.1f} frames/s" if rate else "",
            )
    return job
