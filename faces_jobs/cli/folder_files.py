"""Which files of a folder on this machine are meant when the folder is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def files_in_folder(folder: Path) -> Iterator[tuple[str, Path]]:
    """(name below the folder, path) of each file, by name.

    Hidden files, and files in hidden folders, are left out: what a file manager or a version
    control keeps for itself is nobody's picture.
    """
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if path.is_file() and not hidden:
            yield name.as_posix(), path
