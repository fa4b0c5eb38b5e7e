"""The age of an orphaned file is measured from when it was first seen, not by the file's clock."""

from __future__ import annotations

from faces_jobs.worker.maintenance.first_seen import FirstSeen


class Clock:
    """A clock that tests advance."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_an_orphan_s_age_starts_when_it_is_first_seen() -> None:
    clock = Clock()
    first_seen = FirstSeen(clock)
    first_seen.begin_round()
    assert first_seen.seconds("a", 1e9) == 0
    for minutes in (1, 2, 3):
        clock.now += 60
        first_seen.begin_round()
        assert first_seen.seconds("a", 1e9 + 60 * minutes) == 60 * minutes


def test_an_orphan_that_was_written_to_starts_again() -> None:
    clock = Clock()
    first_seen = FirstSeen(clock)
    first_seen.seconds("a", 3700)
    clock.now += 60
    assert first_seen.seconds("a", 3610) == 0, (
        "it was written to 10 s ago, by a clock that is 3600 s off"
    )
    clock.now += 60
    assert first_seen.seconds("a", 3670) == 60


def test_a_file_clock_that_is_adjusted_changes_nothing() -> None:
    clock = Clock()
    first_seen = FirstSeen(clock)
    first_seen.seconds("a", 10)
    clock.now += 60
    assert first_seen.seconds("a", 7200) == 60
    clock.now += 60
    assert first_seen.seconds("a", 7259) == 120


def test_a_file_that_is_no_longer_an_orphan_is_forgotten() -> None:
    clock = Clock()
    first_seen = FirstSeen(clock)
    first_seen.seconds("a", 0)
    for _ in range(2):
        clock.now += 60
        first_seen.begin_round()
    assert first_seen.seconds("a", 120) == 0
