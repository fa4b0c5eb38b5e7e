"""Works that begin at the same moment, to find out who wins."""

from __future__ import annotations

import threading
from collections.abc import Callable


def run_concurrently(*works: Callable[[], object]) -> list[object]:
    """Run works in threads that begin together; what each returned or raised, in order."""
    barrier = threading.Barrier(len(works))
    outcomes: list[object] = [None] * len(works)

    def run(number: int, work: Callable[[], object]) -> None:
        barrier.wait()
        try:
            outcomes[number] = work()
        except Exception as error:  # noqa: BLE001 (handed to the test, which looks at it)
            outcomes[number] = error

    threads = [
        threading.Thread(target=run, args=(number, work)) for number, work in enumerate(works)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes
