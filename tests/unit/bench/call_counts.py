"""Counts the calls that a piece of work makes, in every thread that it starts."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class CallCounter:
    """Calls of functions, Python's and C's, that began while it counted."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, _frame: FrameType, event: str, _argument: object) -> None:
        """What `sys.setprofile` calls at each event."""
        if event in {"call", "c_call"}:
            self.calls += 1


@contextmanager
def count_calls() -> Iterator[CallCounter]:
    """Count while the block runs; threads count from their start on."""
    counter = CallCounter()
    before, before_in_threads = sys.getprofile(), threading.getprofile()
    threading.setprofile(counter)
    sys.setprofile(counter)
    try:
        yield counter
    finally:
        sys.setprofile(before)
        threading.setprofile(before_in_threads)
