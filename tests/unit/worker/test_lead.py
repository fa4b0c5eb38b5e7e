"""What a worker goes on from, and when it does not."""

from __future__ import annotations

import pytest

from faces_jobs.pipeline.linking import Linker
from faces_jobs.worker.lead import Lead, LinkingState

ITEM = 7


@pytest.fixture
def lead() -> Lead:
    """Of a worker that has found two parts."""
    lead = Lead()
    linked = LinkingState(ITEM, Linker({}))
    lead.keep(linked, "first")
    lead.keep(linked, "second")
    return lead


def test_the_next_part_goes_on_from_it_once(lead: Lead) -> None:
    found = {0: "first", 1: "second"}
    linked = lead.take(ITEM, 2, found)
    assert linked is not None
    assert lead.take(ITEM, 2, found) is None, "an attempt that fails has changed it"
    lead.keep(linked, "third")
    assert lead.take(ITEM, 3, {**found, 2: "third"}) is linked


@pytest.mark.parametrize(
    ("item", "part", "found"),
    [
        (ITEM + 1, 2, {0: "first", 1: "second"}),
        (ITEM, 1, {0: "first", 1: "second"}),
        (ITEM, 3, {0: "first", 1: "second", 2: "of another worker"}),
        (ITEM, 3, {0: "first", 1: "second"}),  # nobody has found it
        (ITEM, 2, {0: "first", 1: "of another attempt"}),
    ],
)
def test_any_other_part_does_not(lead: Lead, item: int, part: int, found: dict[int, str]) -> None:
    assert lead.take(item, part, found) is None
    assert lead.take(ITEM, 2, {0: "first", 1: "second"}) is None
