"""docs/states.md tells every state and every move, and no other."""

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
    ("title", "moves", "besides"),
    [
        ("Job", JOB_MOVES, set()),
        ("Item", ITEM_MOVES, set()),
        # Another worker's claim is no move between states, but it is drawn.
        ("Segment", SEGMENT_MOVES, {("running", "running")}),
    ],
)
def test_states_and_moves_are_told(
    title: str,
    moves: Mapping[StrEnum, frozenset[StrEnum]],
    besides: set[tuple[str, str]],
) -> None:
    section = re.split(r"^## ", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (told,) = [part for part in section if part.startswith(f"{title}\n")]

    drawn = set(re.findall(r"^ +(\w+) --> (\w+)", told, flags=re.MULTILINE))
    described = set(re.findall(r"^\| `(\w+)` \|", told, flags=re.MULTILINE))

    legal = {(str(state), str(to)) for state, targets in moves.items() for to in targets}
    assert drawn == legal | besides
    assert described == {str(state) for state in moves}
