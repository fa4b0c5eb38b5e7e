"""What the tables of commands say."""

from __future__ import annotations

import pytest
from rich.console import Console

from faces_jobs.cli.tables import table_of_items
from faces_jobs.jobs.documents import ErrorDocument, ItemDocument, Progress
from faces_jobs.jobs.status import ItemStatus


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
    item = ItemDocument(
        id=1,
        position=0,
        name="a.mp4",
        status=ItemStatus.SUCCEEDED,
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
        progress=Progress(
            frames_done=24, frames_total=25, fraction=1.0, frames_per_second=None, eta_seconds=None
        ),
    )
    console = Console(width=200, record=True)
    console.print(table_of_items([item]))
    row = next(line for line in console.export_text().splitlines() if "a.mp4" in line)
    assert row.split("\u2502")[-2].strip() == said
