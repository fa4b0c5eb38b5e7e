"""When a worker may continue linking from the parts that it has linked itself."""

from __future__ import annotations

import pytest

from faces_jobs.pipeline.linking import Linker
from faces_jobs.worker.lead import Lead, LinkingState

ITEM = 7


@pytest.fixture
def lead() -> Lead:
    """The lead of a worker that has found and linked the first two parts."""
    lead = Lead()
    linked = LinkingState(ITEM, Linker({}))
    lead.keep(linked, "first")
    lead.keep(linked, "second")
    return lead


def test_only_the_next_part_may_take_the_lead_and_only_once(lead: Lead) -> None:
    found = {0: "first", 1: "second"}
    linked = lead.take(ITEM, 2, found)
    assert linked is not None
    assert lead.take(ITEM, 2, found) is None, "an attempt that failed may have changed it"
    lead.keep(linked, "third")
    assert lead.take(ITEM, 3, {**found, 2: "third"}) is linked


@pytest.mark.parametrize(
    ("item", "part", "found"),
    [
        (ITEM + 1, 2, {0: "first", 1: "second"}),
        (ITEM, 1, {0: "first", 1: "second"}),
        (ITEM, 3, {0: "first", 1: "second", 2: "of another worker"}),
        (ITEM, 3, {0: "first", 1: "second"}),  # part 2 is not found yet
        (ITEM, 2, {0: "first", 1: "of another attempt"}),
    ],
)
def test_any_other_part_discards_the_lead(
    lead: Lead, item: int, part: int, found: dict[int, str]
) -> None:
    assert lead.take(item, part, found) is None
    assert lead.take(ITEM, 2, {0: "first", 1: "second"}) is None
