"""What the tables of commands say."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from rich.console import Console
from rich.table import Table

from faces_jobs.cli import tables
from faces_jobs.jobs.documents import (
    AttributeDocument,
    BoxDocument,
    ErrorDocument,
    ItemDocument,
    JobDocument,
    Progress,
    TrackDocument,
)
from faces_jobs.jobs.labels import HEADS
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.jobs.status import ItemStatus, JobStatus
from faces_jobs_models.run_sizes import RunTimes

PROGRESS = Progress(
    frames_done=24, frames_total=25, fraction=1.0, frames_per_second=None, eta_seconds=None
)


def item_of(
    *,
    name: str = "a.mp4",
    status: ItemStatus = ItemStatus.SUCCEEDED,
    damaged_frames: int = 0,
    error: ErrorDocument | None = None,
) -> ItemDocument:
    return ItemDocument(
        id=1,
        position=0,
        name=name,
        status=status,
        error=error,
        evidence=None,
        kind="video",
        format="mov",
        width=64,
        height=48,
        duration_ms=1000.0,
        bytes=1000,
        face_count=3,
        track_count=1,
        damaged_frames=damaged_frames,
        progress=PROGRESS,
    )


def job_of(status: JobStatus, *, label: str) -> JobDocument:
    return JobDocument(
        id="0190f3c8-7a3b-7c55-9d3e-2f8a1b4c6d7e",
        status=status,
        label=label,
        owner="",
        options=JobSpec(),
        created_at=datetime(2026, 11, 27, 12, 30, tzinfo=UTC),
        started_at=None,
        ended_at=None,
        delete_at=None,
        progress=PROGRESS,
        item_count=12,
        items_by_status={},
        face_count=123456,
        track_count=420,
        models=[],
        error=None,
        evidence=None,
    )


def shown_in(width: int, table: Table) -> str:
    console = Console(width=width, record=True)
    console.print(table)
    return console.export_text()


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize("status", JobStatus)
def test_a_job_s_id_and_state_are_whole(width: int, status: JobStatus) -> None:
    job = job_of(status, label="a holiday by the sea with everybody " * 4)
    shown = shown_in(width, tables.table_of_jobs([job], width=width))
    assert job.id in shown
    assert status.value in shown
    assert "123456" in shown
    assert ("2026-11-27 12:30" in shown) is (width >= 120)


def test_an_item_s_name_and_error_are_folded_not_cut() -> None:
    item = item_of(
        name="a/folder/whose/name/is/long/" + "x" * 60 + ".mp4",
        error=ErrorDocument(code="truncated", message="It breaks off where nobody would think."),
    )
    shown = shown_in(80, tables.table_of_items([item], width=80))
    assert "\u2026" not in shown
    assert "succeeded" in shown


@pytest.mark.parametrize(
    ("status", "shown"),
    [(ItemStatus.SUCCEEDED, "24/25"), (ItemStatus.FAILED, "24"), (ItemStatus.CANCELLED, "24")],
)
def test_an_item_that_was_not_completed_does_not_look_so(status: ItemStatus, shown: str) -> None:
    console = Console(width=200, record=True)
    console.print(tables.table_of_items([item_of(status=status)], width=console.width))
    row = next(line for line in console.export_text().splitlines() if "a.mp4" in line)
    assert row.split("\u2502")[4].strip() == shown


@pytest.mark.parametrize("width", [80, 100, 400])
def test_tracks_are_readable_in_any_width(width: int) -> None:
    said = dict(
        zip(
            HEADS,
            ("female", "surprise", "medium", "frontal", "ornaments", "middle", "partial"),
            strict=True,
        )
    )
    track = TrackDocument(
        job_id="a-job",
        item_id=1,
        item_name="sample.mp4",
        track=1,
        first_frame_index=0,
        last_frame_index=249,
        first_time_ms=0.0,
        last_time_ms=9960.0,
        face_count=250,
        mean_score=0.9,
        best_frame_index=3,
        best_time_ms=120.0,
        best_box=BoxDocument(left=0, top=0, right=9, bottom=9),
        attributes={h: AttributeDocument(label=v, probability=0.93) for h, v in said.items()},
        thumbnail_artifact_id=None,
    )
    console = Console(width=width, record=True)
    tables.print_tracks([track], console)
    shown = console.export_text()
    assert len(shown.splitlines()) <= 5
    assert "\u2026" not in shown
    for part in ("sample.mp4", "0.0-10.0 s", "250", *(f"{label} 93%" for label in said.values())):
        assert part in shown


def test_a_star_marks_what_was_measured_to_be_best() -> None:
    measured = RunTimes(frames={1: 0.02, 4: 0.01}, crops={1: 0.002, 16: 0.001})
    shown = shown_in(80, tables.table_of_run_sizes(measured))
    assert "10.00 *" in shown
    assert "1.00 *" in shown
    assert shown.count("*") == 2


@pytest.mark.parametrize(
    ("damaged_frames", "error", "said"),
    [
        (0, None, ""),
        (1, None, "1 damaged frame was left out, or is shown in part"),
        (
            2300,
            ErrorDocument(code="truncated", message="It breaks off."),
            "It breaks off.; 2,300 damaged frames were left out, or are shown in part",
        ),
    ],
)
def test_an_item_s_row_ends_with_what_is_the_matter_with_it(
    damaged_frames: int, error: ErrorDocument | None, said: str
) -> None:
    console = Console(width=200, record=True)
    item = item_of(damaged_frames=damaged_frames, error=error)
    console.print(tables.table_of_items([item], width=console.width))
    row = next(line for line in console.export_text().splitlines() if "a.mp4" in line)
    assert row.split("\u2502")[-2].strip() == said
