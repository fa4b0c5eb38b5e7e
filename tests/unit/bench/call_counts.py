"""Counts function calls, in the current thread and in the threads that it starts."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class CallCounter:
    """The number of calls of Python and C functions so far; a profile function."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, _frame: FrameType, event: str, _argument: object) -> None:
        """Handle one event of `sys.setprofile`."""
        if event in {"call", "c_call"}:
            self.calls += 1


@contextmanager
def count_calls() -> Iterator[CallCounter]:
    """Count the calls inside the block, including those of threads started in it."""
    counter = CallCounter()
    before, before_in_threads = sys.getprofile(), threading.getprofile()
    threading.setprofile(counter)
    sys.setprofile(counter)
    try:
        yield counter
    finally:
        sys.setprofile(before)
        threading.setprofile(before_in_threads)
