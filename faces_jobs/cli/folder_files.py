"""List the files of a folder on this machine that a command is to process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def files_in_folder(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield each file as (name relative to the folder, path), sorted by path.

    Hidden files and files in hidden folders are left out: they belong to file managers, version
    control and the like. A subfolder that can't be listed is yielded like a file, so that it is
    not passed over in silence: opening it fails with the reason.

    Raises:
        OSError: the folder itself can't be listed.
    """
    os.scandir(folder).close()
    for path in sorted(_walk(folder)):
        yield path.relative_to(folder).as_posix(), path


def _walk(folder: Path) -> Iterator[Path]:
    unlisted: list[Path] = []
    for parent, folders, files in os.walk(
        folder, onerror=lambda error: unlisted.append(Path(error.filename))
    ):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (Path(parent, name) for name in files if not name.startswith("."))
        yield from (path for path in paths if _may_be_file(path))
    yield from unlisted


def _may_be_file(path: Path) -> bool:
    """Whether it is a regular file, or one of a folder that only tells names."""
    try:
        return path.is_file()
    except OSError:
        return True
