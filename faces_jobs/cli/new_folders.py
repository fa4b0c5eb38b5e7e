"""Folders that a command makes for what it writes: none is left where nothing came of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def remove_empty_folders_on_error(folder: Path) -> Iterator[None]:
    """Take the folder back, and those above it, where it was made and nothing came into it."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        yield
    except BaseException:
        with suppress(OSError):  # one that is not empty stays, and so do those above
            for one in missing:
                one.rmdir()
        raise
