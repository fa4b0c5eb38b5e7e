"""The quick set of the fault matrix on SQLite and a folder; `make faults` plays all of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.environments import one_machine
from tests.faults.faults import FAULTS
from tests.faults.matrix import Lane
from tests.faults.points import POINTS, Point
from tests.faults.quick import (
    LEFT_OUT,
    ON_ONE_MACHINE,
    ON_SEVERAL_MACHINES,
    cell_of,
    nothing_is_lost_and_nothing_doubled,
)

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    """A machine, and what comes of a job on it when nothing happens."""
    folder = tmp_path_factory.mktemp("one-machine")
    with one_machine(folder) as site:
        yield Lane(site, folder)


@pytest.mark.parametrize(
    ("fault", "point"), ON_ONE_MACHINE, ids=lambda given: str(getattr(given, "name", given))
)
def test_nothing_is_lost_and_nothing_doubled(fault: str, point: Point, lane: Lane) -> None:
    nothing_is_lost_and_nothing_doubled(lane, cell_of(fault, point, "SQLite + folder"))


def test_every_fault_and_every_point_are_in_the_quick_sets() -> None:
    cells = ON_ONE_MACHINE + ON_SEVERAL_MACHINES
    assert {fault.name for fault in FAULTS} == {fault for fault, _ in cells} | LEFT_OUT
    assert {point for _, point in cells} == set(POINTS)
