"""Orphans count from when they were first seen, whatever the clocks of files say."""

from __future__ import annotations

from faces_jobs.worker.first_seen import FirstSeen


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_an_orphan_counts_from_when_it_was_first_seen() -> None:
    clock = Clock()
    first_seen = FirstSeen(clock)
    first_seen.begin_round()
    assert first_seen.seconds("a", 1e9) == 0
    for round_ in (1, 2, 3):
        clock.now += 60
        first_seen.begin_round()
        assert first_seen.seconds("a", 1e9 + 60 * round_) == 60 * round_


def test_what_changed_meanwhile_counts_anew() -> None:
    clock = Clock()
    first_seen = FirstSeen(clock)
    first_seen.seconds("a", 3700)
    clock.now += 60
    assert first_seen.seconds("a", 3610) == 0, "it was written to 10 s ago, by a clock 3600 s off"
    clock.now += 60
    assert first_seen.seconds("a", 3670) == 60


def test_a_clock_that_is_set_on_or_back_a_little_changes_nothing() -> None:
    clock = Clock()
    first_seen = FirstSeen(clock)
    first_seen.seconds("a", 10)
    clock.now += 60
    assert first_seen.seconds("a", 7200) == 60
    clock.now += 60
    assert first_seen.seconds("a", 7259) == 120


def test_what_is_no_orphan_any_more_is_forgotten() -> None:
    clock = Clock()
    first_seen = FirstSeen(clock)
    first_seen.seconds("a", 0)
    for _ in range(2):
        clock.now += 60
        first_seen.begin_round()
    assert first_seen.seconds("a", 120) == 0
