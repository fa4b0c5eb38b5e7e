"""The quick set of the fault matrix: every fault once, every point struck by the hardest of them.

`make faults` plays all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults import faults, points
from tests.faults.matrix import SITES, Cell, Lane, all_cells
from tests.faults.places import SiteName
from tests.services import missing_service

pytestmark = pytest.mark.faults

ONE: SiteName = "SQLite + folder"
SEVERAL: SiteName = "PostgreSQL + Redis"

CELLS = [
    ("kill -9", points.ACCEPT, SEVERAL),
    ("kill -9", points.CLAIM, ONE),
    ("kill -9", points.FIRST_FRAME, SEVERAL),
    ("kill -9", points.MID_SEGMENT, ONE),
    ("kill -9", points.LINK, SEVERAL),
    ("kill -9", points.ENCODE, ONE),
    ("kill -9", points.FINALISE, SEVERAL),
    ("kill -9", points.EXPORTS, ONE),
    ("kill -9", points.WEBHOOK, SEVERAL),
    ("stop past the lease, then go on", points.MID_SEGMENT, ONE),
    ("stop past the lease, then go on", points.FINALISE, SEVERAL),
    ("TERM", points.ENCODE, ONE),
    ("TERM twice", points.MID_SEGMENT, SEVERAL),
    ("memory limit", points.MID_SEGMENT, ONE),
    ("broker killed for 4 s", points.FIRST_FRAME, SEVERAL),
    ("broker restarted, empty", points.ENCODE, SEVERAL),
    ("broker flushed", points.FIRST_FRAME, ONE),
    ("broker slow by 0.4 s", points.CLAIM, SEVERAL),
    ("messages five times, shuffled", points.FIRST_FRAME, SEVERAL),
    ("messages five times, shuffled", points.ENCODE, ONE),
    ("database restarted, 4 s away", points.FINALISE, SEVERAL),
    ("connections terminated", points.ENCODE, SEVERAL),
    ("database read-only for 4 s", points.EXPORTS, SEVERAL),
    ("database locked for 4 s", points.FINALISE, ONE),
    ("disk full for 4 s", points.ENCODE, ONE),
    ("clock one hour ahead", points.MID_SEGMENT, ONE),
]


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[SiteName], Lane]]:
    """A site of each kind, with its undisturbed run, made when it is first asked for."""
    opened: dict[SiteName, Lane] = {}
    with ExitStack() as stack:

        def of(name: SiteName) -> Lane:
            if name not in opened:
                folder: Path = tmp_path_factory.mktemp("faults")
                try:
                    site = stack.enter_context(SITES[name](folder))
                except FileNotFoundError as error:
                    missing_service(str(error))
                opened[name] = Lane(site, folder)
            return opened[name]

        yield of


@pytest.mark.parametrize(
    ("fault", "point", "site"), CELLS, ids=lambda given: str(getattr(given, "name", given))
)
def test_nothing_is_lost_and_nothing_doubled(
    fault: str, point: points.Point, site: SiteName, lane: Callable[[SiteName], Lane]
) -> None:
    (cell,) = [
        cell
        for cell in all_cells()
        if not cell.default_lease
        and (cell.fault.name, cell.point, cell.site) == (fault, point, site)
    ]
    if cell.fault.missing:
        pytest.skip(cell.fault.missing)

    result = lane(site).play(cell)

    print(result.log)  # noqa: T201 (pytest shows it where a test fails)
    assert result.error is None
    assert not result.lost
    assert not result.doubled
    if cell.fault.name == "kill -9":
        assert result.again <= 1, "a killed worker costs one segment's work, no more"


def test_each_fault_is_in_the_quick_set_or_like_one_that_is() -> None:
    like = {"broker silent for 4 s": "broker slow by 0.4 s", "clock one hour back": "... ahead"}
    quick = {fault for fault, _, _ in CELLS}
    assert {fault.name for fault in faults.FAULTS} == quick | set(like)
    assert {point for _, point, _ in CELLS} == set(points.POINTS)
