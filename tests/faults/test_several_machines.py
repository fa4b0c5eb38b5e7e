"""The quick set of the fault matrix on PostgreSQL and Redis; `make faults` plays all of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.faults.environments import several_machines
from tests.faults.matrix import Lane
from tests.faults.points import Point
from tests.faults.quick import ON_SEVERAL_MACHINES, cell_of, nothing_is_lost_and_nothing_doubled
from tests.services import missing_service

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    """Servers, and what comes of a job on them when nothing happens."""
    folder = tmp_path_factory.mktemp("several-machines")
    with ExitStack() as stack:
        try:
            site = stack.enter_context(several_machines(folder))
        except FileNotFoundError as error:
            missing_service(str(error))
        yield Lane(site, folder)


@pytest.mark.parametrize(
    ("fault", "point"), ON_SEVERAL_MACHINES, ids=lambda given: str(getattr(given, "name", given))
)
def test_nothing_is_lost_and_nothing_doubled(fault: str, point: Point, lane: Lane) -> None:
    nothing_is_lost_and_nothing_doubled(lane, cell_of(fault, point, "PostgreSQL + Redis"))
