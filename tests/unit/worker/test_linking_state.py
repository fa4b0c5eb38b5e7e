"""When a worker may continue linking from the parts that it has linked itself."""

from __future__ import annotations

import pytest

from faces_jobs.pipeline.linking import Linker
from faces_jobs.worker.linking_state import LinkingState, LinkingStateCache

ITEM = 7


@pytest.fixture
def cache() -> LinkingStateCache:
    """The cache of a worker that has found and linked the first two parts."""
    cache = LinkingStateCache()
    linked = LinkingState(ITEM, Linker({}))
    cache.keep(linked, "first")
    cache.keep(linked, "second")
    return cache


def test_only_the_next_part_gets_the_state_and_only_once(
    cache: LinkingStateCache,
) -> None:
    found = {0: "first", 1: "second"}
    linked = cache.take(ITEM, 2, found)
    assert linked is not None
    assert cache.take(ITEM, 2, found) is None, "an attempt that failed may have changed it"
    cache.keep(linked, "third")
    assert cache.take(ITEM, 3, {**found, 2: "third"}) is linked


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
    cache: LinkingStateCache, item: int, part: int, found: dict[int, str]
) -> None:
    assert cache.take(item, part, found) is None
    assert cache.take(ITEM, 2, {0: "first", 1: "second"}) is None
