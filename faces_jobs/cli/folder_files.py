"""List the files of a folder on this machine that a command is to process."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from faces_jobs.settings.storage import DATABASE_NAME, WEB_KEY_NAME

# What is counted, in words for any number.
BROKEN_LINK = "broken link(s)"
DATA_FOLDER = "data folder(s) of a service"
LINKED_FOLDER = "link(s) to folders"
SPECIAL_FILE = "pipe(s), socket(s) or device(s)"


def files_in_folder(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield each file as (name relative to the folder, path), sorted by path.

    Hidden files and files in hidden folders are left out: they belong to file managers, version
    control and the like. A subfolder that can't be listed is yielded like a file, so that it is
    not passed over in silence: opening it fails with the reason. Links to files are followed. What
    else is no file is counted on standard error, as are the data folders of services: they hold
    the files of others, and keys.

    Raises:
        OSError: the folder itself can't be listed.
    """
    os.scandir(folder).close()
    skipped = Counter[str]()
    paths = sorted(_walk(folder, skipped))
    if skipped:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(skipped.items()))
        advice = " (name a linked folder itself to include it)" if LINKED_FOLDER in skipped else ""
        click.echo(f"skipped in {folder}: {kinds}{advice}", err=True)
    for path in paths:
        yield path.relative_to(folder).as_posix(), path


def _walk(folder: Path, skipped: Counter[str]) -> Iterator[Path]:
    unlisted: list[Path] = []
    for parent, folders, files in os.walk(
        folder, onerror=lambda error: unlisted.append(Path(error.filename))
    ):
        if {DATABASE_NAME, WEB_KEY_NAME} & set(files):
            skipped[DATA_FOLDER] += 1
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        # A loop of links would never end.
        linked = sum(Path(parent, name).is_symlink() for name in folders)
        skipped.update({LINKED_FOLDER: linked} if linked else {})
        for path in (Path(parent, name) for name in files if not name.startswith(".")):
            kind = _kind_of_no_file(path)
            if kind is None:
                yield path
            else:
                skipped[kind] += 1
    yield from unlisted


def _kind_of_no_file(path: Path) -> str | None:
    """Why it is skipped; None for a regular file, or anything in a folder that only tells names."""
    try:
        if path.is_file():
            return None
        return SPECIAL_FILE if path.exists() else BROKEN_LINK
    except OSError:
        return None
