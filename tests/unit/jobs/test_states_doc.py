"""docs/states.md describes exactly the states and moves that the code has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import pytest

from faces_jobs.jobs.status import (
    ITEM_MOVES,
    JOB_MOVES,
    SEGMENT_MOVES,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "states.md"


@pytest.mark.parametrize(
    ("title", "moves", "extra"),
    [
        ("Job", JOB_MOVES, set()),
        ("Item", ITEM_MOVES, set()),
        # A claim by another worker does not change the state, but the diagram shows it.
        ("Segment", SEGMENT_MOVES, {("running", "running")}),
    ],
)
def test_the_documented_states_and_moves_are_those_of_the_code(
    title: str,
    moves: Mapping[StrEnum, frozenset[StrEnum]],
    extra: set[tuple[str, str]],
) -> None:
    sections = re.split(r"^## ", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (section,) = [text for text in sections if text.startswith(f"{title}\n")]

    drawn = set(re.findall(r"^ +(\w+) --> (\w+)", section, flags=re.MULTILINE))
    described = set(re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE))

    legal = {(str(state), str(to)) for state, targets in moves.items() for to in targets}
    assert drawn == legal | extra
    assert described == {str(state) for state in moves}
