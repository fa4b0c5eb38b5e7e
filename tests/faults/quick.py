"""The quick set: every fault, and every point of a job's life, at least once, on one site."""

from __future__ import annotations

import pytest

from tests.faults.environments import SiteName
from tests.faults.matrix import Cell, Lane, all_cells
from tests.faults.points import (
    ACCEPT,
    CLAIM,
    DRAW,
    ENCODE,
    EXPORTS,
    FINALISE,
    FIRST_FRAME,
    LINK,
    MID_SEGMENT,
    RECORD,
    WEBHOOK,
    Point,
)

ON_ONE_MACHINE = [
    ("kill -9", MID_SEGMENT),
    ("kill -9", EXPORTS),
    ("kill -9", RECORD),
    ("stop for 4 s", RECORD),
    ("TERM", DRAW),
    ("memory limit", MID_SEGMENT),
    ("broker killed for 4 s", LINK),
    ("broker flushed", FIRST_FRAME),
    ("messages five times, shuffled", DRAW),
    ("database locked for 4 s", FINALISE),
    ("disk full for 4 s", ENCODE),
    ("clock one hour ahead", MID_SEGMENT),
]
ON_SEVERAL_MACHINES = [
    ("kill -9", ACCEPT),
    ("kill -9", FIRST_FRAME),
    ("kill -9", WEBHOOK),
    ("stop past the lease, then go on", FINALISE),
    ("TERM twice", MID_SEGMENT),
    ("broker killed for 4 s", ACCEPT),  # once left a worker without messages, in one run of three
    ("broker restarted, empty", ENCODE),
    ("broker slow by 0.4 s", CLAIM),
    ("database restarted, 4 s away", FINALISE),
    ("connections terminated", DRAW),
    ("database read-only for 4 s", EXPORTS),
]
# Similar to one in the set; run by `make faults` only.
LEFT_OUT = {"broker silent for 4 s", "clock one hour back"}


def cell_of(fault: str, point: Point, site: SiteName) -> Cell:
    """The cell of the matrix."""
    (cell,) = [
        cell
        for cell in all_cells()
        if not cell.default_lease
        and (cell.fault.name, cell.point, cell.site) == (fault, point, site)
    ]
    return cell


def nothing_is_lost_and_nothing_doubled(lane: Lane, cell: Cell) -> None:
    """Run a cell and check the promises."""
    if cell.fault.missing:
        pytest.skip(cell.fault.missing)

    result = lane.play(cell)

    print(result.log)  # noqa: T201 (pytest shows it when a test fails)
    assert result.error is None
    assert not result.lost
    assert not result.doubled
    if cell.fault.name == "kill -9":
        assert result.again <= 1, "a killed worker costs one segment's work, no more"
