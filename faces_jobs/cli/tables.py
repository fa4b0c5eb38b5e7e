"""Output of commands for people: tables of jobs, items, tracks and models."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from faces_jobs.jobs.damage import damage_text
from faces_jobs.jobs.documents import AttributeDocument, ItemDocument, JobDocument, TrackDocument
from faces_jobs.jobs.labels import HEADS, UNSURE

if TYPE_CHECKING:
    from faces_jobs_models.run_sizes import RunTimes

PIPE_WIDTH = 400
WIDE_COLUMNS = 120  # enough for all columns of a job, with the longest state
MAX_NARROW_LABEL = 40  # characters of a label that are shown on narrower terminals


def console() -> Console:
    """A console on standard output; for a file or pipe, wide enough not to fold or cut text."""
    return Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)


def table_of_items(items: Iterable[ItemDocument], *, width: int) -> Table:
    """A table of items with state, counts and errors; on a narrow terminal with fewer counts.

    Text that does not fit is folded, not cut.
    """
    table, wide = _table(width)
    table.add_column("#", no_wrap=True)
    table.add_column("item", overflow="fold")
    table.add_column("state", no_wrap=True)
    for count in ("frames", "faces", "tracks") if wide else ("frames", "faces"):
        table.add_column(count, no_wrap=True)
    table.add_column("error", overflow="fold")
    for item in items:
        table.add_row(
            str(item.position),
            escape(item.name),
            item.status.value,
            _frames(item),
            str(item.face_count),
            *([str(item.track_count)] if wide else []),
            escape("; ".join(_problems(item))),
        )
    return table


def _frames(item: ItemDocument) -> str:
    done = item.progress.frames_done
    return str(done) if item.status.cut_short else f"{done}/{item.progress.frames_total or '?'}"


def _problems(item: ItemDocument) -> Iterator[str]:
    if item.error:
        yield item.error.message
    if item.damaged_frames:
        yield damage_text(item.damaged_frames)


def table_of_jobs(jobs: Iterable[JobDocument], *, width: int) -> Table:
    """A table of jobs with state and counts; if narrow, with fewer counts and the label cut."""
    table, wide = _table(width)
    table.add_column("job", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for count in ("items", "faces", "tracks", "created") if wide else ("items", "faces"):
        table.add_column(count, no_wrap=True)
    table.add_column("label", overflow="fold")
    for job in jobs:
        table.add_row(
            job.id,
            job.status.value,
            str(job.item_count),
            str(job.face_count),
            *([str(job.track_count), f"{job.created_at:%Y-%m-%d %H:%M}"] if wide else []),
            escape(job.label if wide else _shortened(job.label)),
        )
    return table


def _shortened(label: str) -> str:
    if len(label) <= MAX_NARROW_LABEL:
        return label
    return f"{label[: MAX_NARROW_LABEL - 1]}\u2026"


def _table(width: int) -> tuple[Table, bool]:
    """A table without columns, and whether the terminal is wide enough for all of them."""
    if width >= WIDE_COLUMNS:
        return Table(), True
    return Table(box=None, padding=(0, 1, 0, 0), pad_edge=False), False


def print_tracks(tracks: Sequence[TrackDocument], console: Console) -> None:
    """Print tracks with their times and attributes: as a table, or as lines if it does not fit."""
    table = _table_of_tracks(tracks)
    unlimited = console.options.update(width=PIPE_WIDTH)
    if console.measure(table, options=unlimited).maximum <= console.width:
        console.print(table)
        return
    for track in tracks:
        console.print(
            f"{escape(track.item_name)}, track {track.track}, seen {_time_range(track)}, "
            f"{track.face_count} faces",
            highlight=False,
        )
        attributes = [f"{head} {_attribute_text(track.attributes.get(head))}" for head in HEADS]
        console.print(Padding(", ".join(attributes), (0, 0, 0, 4)), highlight=False)


def _table_of_tracks(tracks: Iterable[TrackDocument]) -> Table:
    table = Table("item", "track", "seen", "faces", *HEADS)
    for track in tracks:
        table.add_row(
            escape(track.item_name),
            str(track.track),
            _time_range(track),
            str(track.face_count),
            *(_attribute_text(track.attributes.get(head)) for head in HEADS),
        )
    return table


def _time_range(track: TrackDocument) -> str:
    return f"{track.first_time_ms / 1000:.1f}-{track.last_time_ms / 1000:.1f} s"


def table_of_models(models: Iterable[Mapping[str, Any]]) -> Table:
    """A table of networks with version, file, figures on held-out faces, and problems.

    Each network is a document as `faces-jobs models list --json` prints it.
    """
    table = Table("model", "version", "SHA-256", "size", "held out, at training", "purpose")
    for model in models:
        # The file that the CPU runs, whose hash is in the results.
        files = model.get("files", {})
        file = files.get("int8") or files.get("onnx")
        figures = [
            f"{head} {data_set} {_summarise(values)}"
            for head, sets in model.get("figures", {}).items()
            for data_set, values in sets.items()
        ]
        problem = f"[red]{escape(model['problem'])}[/red]" if model["problem"] else ""
        choice = f" ({model['detector']})" if model.get("detector") else ""
        used = "" if model.get("used", True) else "\nnot used"
        table.add_row(
            model["name"] + choice + used,
            model.get("version", "?"),
            file["sha256"][:12] if file else "?",
            f"{file['bytes'] / 1e6:.1f} MB" if file else "?",
            "\n".join(figures),
            problem or model["purpose"],
        )
    return table


def table_of_run_sizes(measured: RunTimes) -> Table:
    """A table of milliseconds per frame and crop by batch size; a star marks the chosen sizes."""
    table = Table("batch size", "ms per frame", "ms per face and model")
    best = measured.best
    for size in sorted(measured.frames.keys() | measured.crops.keys()):
        frame = _milliseconds(measured.frames.get(size), chosen=size == best.frames_a_run)
        crop = _milliseconds(measured.crops.get(size), chosen=size == best.crops_a_run)
        table.add_row(str(size), frame, crop)
    return table


def _milliseconds(seconds: float | None, *, chosen: bool) -> str:
    if seconds is None:
        return ""
    text = f"{seconds * 1e3:.2f}"
    return f"[bold green]{text} *[/bold green]" if chosen else text


def _summarise(figures: Mapping[str, float]) -> str:
    if "accuracy" in figures:
        return f"{figures['accuracy']:.1%} (balanced {figures['balanced_accuracy']:.1%})"
    return ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in figures.items())


def _attribute_text(attribute: AttributeDocument | None) -> str:
    if attribute is None:
        return "-"
    if attribute.label == UNSURE:
        return UNSURE
    return f"{attribute.label} {attribute.probability:.0%}"
