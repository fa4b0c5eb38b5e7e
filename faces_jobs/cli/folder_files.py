"""List the files of a folder on this machine that a command is to process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def files_in_folder(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield each file as (name relative to the folder, path), sorted by path.

    Hidden files and files in hidden folders are left out: they belong to file managers, version
    control and the like.
    """
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if path.is_file() and not hidden:
            yield name.as_posix(), path
