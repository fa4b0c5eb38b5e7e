"""How whoever waits for files learns that they are on their way."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[], None]
"""Called as bytes move, by the thread that waits for them; what it raises ends the transfer."""


def ignore_progress() -> None:
    """Progress that nobody asks for."""
