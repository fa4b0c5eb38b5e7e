"""Removal of the folders that a failed command has created."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def remove_empty_folders_on_error(folder: Path) -> Iterator[None]:
    """If the block fails, remove the folder and its parents that it created, as far as empty."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    except BaseException:
        with suppress(OSError):  # a folder that is not empty stays, and its parents with it
            for path in missing:
                path.rmdir()
        raise
