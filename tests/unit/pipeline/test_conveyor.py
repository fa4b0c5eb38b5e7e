"""The conveyor by itself: batches and errors come off in order, however its threads are run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from faces_jobs.pipeline.conveyor import Conveyor
from faces_jobs.pipeline.timing import StageTimer

TIMEOUT_SECONDS = 30


def conveyor_of(max_batches: int) -> Conveyor[int]:
    return Conveyor(max_batches=max_batches, wait_timer=StageTimer())


def test_the_source_goes_on_when_a_batch_is_taken_off() -> None:
    conveyor = conveyor_of(1)
    taken: list[int] = []

    def put_all() -> None:
        for number in range(5):
            conveyor.put(number)
        conveyor.end()

    targets: list[Callable[[], None]] = [
        put_all,
        lambda: conveyor.work(lambda _number, _batch: None),
        lambda: taken.extend(conveyor),
    ]
    threads = [threading.Thread(target=target, daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_SECONDS)
    assert taken == list(range(5))


@pytest.mark.parametrize("first", [1, 2])
def test_the_error_of_the_first_failed_batch_is_raised_after_the_batches_before_it(
    first: int,
) -> None:
    conveyor = conveyor_of(3)
    for number in range(3):
        conveyor.put(number)
    started = threading.Barrier(3)
    failed = {1: threading.Event(), 2: threading.Event()}
    second = 3 - first

    def work(number: int, _batch: int) -> None:
        started.wait(TIMEOUT_SECONDS)
        if number == first:
            raise KeyError(number)
        # Batch 0 is done last.
        assert failed[first if number == second else second].wait(TIMEOUT_SECONDS)
        if number == second:
            raise KeyError(number)
        with conveyor.turn(number, "block"):  # not stopped: only later batches have failed
            pass

    def run_lane() -> None:
        numbers: list[int] = []

        def note_and_work(number: int, batch: int) -> None:
            numbers.append(number)
            work(number, batch)

        conveyor.work(note_and_work)
        for number in numbers:
            if number in failed:
                failed[number].set()

    taken: list[int] = []
    with ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            pool.submit(run_lane)
        with pytest.raises(KeyError, match="1"):
            taken.extend(conveyor)
    assert taken == [0]


def test_a_block_is_entered_in_the_order_of_the_batches() -> None:
    conveyor = conveyor_of(2)
    for number in range(2):
        conveyor.put(number)
    conveyor.end()
    later_arrived = threading.Event()
    entered: list[int] = []

    def work(number: int, _batch: int) -> None:
        if number == 0:
            assert later_arrived.wait(TIMEOUT_SECONDS)
        later_arrived.set()
        with conveyor.turn(number, "block"):
            entered.append(number)

    with ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            pool.submit(conveyor.work, work)
        assert list(conveyor) == [0, 1]
    assert entered == [0, 1]
