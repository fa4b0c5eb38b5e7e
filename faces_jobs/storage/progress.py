"""The callback by which transfers report progress."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[], None]
"""Called as bytes move, by the thread that waits for them; what it raises ends the transfer."""


def ignore_progress() -> None:
    """A `Progress` that does nothing."""
