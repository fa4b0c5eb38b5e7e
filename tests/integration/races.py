"""Run several calls at the same moment, to test races."""

from __future__ import annotations

import threading
from collections.abc import Callable


def run_concurrently(*calls: Callable[[], object]) -> list[object]:
    """Run each call in a thread, all started together. Returns what each returned or raised."""
    barrier = threading.Barrier(len(calls))
    outcomes: list[object] = [None] * len(calls)

    def run(number: int, call: Callable[[], object]) -> None:
        barrier.wait()
        try:
            outcomes[number] = call()
        except Exception as error:  # noqa: BLE001 (returned to the test, which inspects it)
            outcomes[number] = error

    threads = [
        threading.Thread(target=run, args=(number, call)) for number, call in enumerate(calls)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes
