"""Opens files of the server beneath a configured root, and nowhere else.

Each component of a path is opened separately, relative to the one before and without following
links, when the file is read. So swapping in a link after a check gains nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faces_jobs.errors import FolderError, SourceError

MAX_DEPTH = 32
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a FIFO would wait for a writer forever.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OPEN_FILES = Path("/proc/self/fd") if Path("/proc/self/fd").exists() else Path("/dev/fd")


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """An open regular file. Its `path` is valid for this process while the file is open."""

    path: Path
    descriptor: int
    bytes: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of a folder: its path below the root, and whether it is a regular file.

    A subfolder that can't be read is listed as well, as something that is not a regular file.
    """

    relative_path: str
    is_regular: bool


def root_folder(roots: Mapping[str, Path], name: str) -> Path:
    """Return the folder of a root.

    Raises:
        FolderError: there is no root of this name.
    """
    if name not in roots:
        known = ", ".join(sorted(roots)) or "none; set FACES_JOBS_ROOTS"
        raise FolderError(f"There is no root {name!r} on this server. Known roots: {known}.")
    return roots[name]


def parts_of(relative_path: str) -> tuple[str, ...]:
    """Split a path below a root into its components; the root itself has none.

    Raises:
        FolderError: the path is absolute, too deep, or contains `..` or an invalid character.
    """
    if "\0" in relative_path or relative_path.startswith("/") or "\\" in relative_path:
        raise FolderError(
            "The folder must be a path below its root: use '/' between names, but not at the start."
        )
    parts = tuple(part for part in relative_path.split("/") if part not in ("", "."))
    if ".." in parts:
        raise FolderError("The folder must be below its root: '..' is not allowed.")
    if len(parts) > MAX_DEPTH:
        raise FolderError(f"The folder is nested too deeply: the limit is {MAX_DEPTH} levels.")
    return parts


@contextmanager
def open_beneath(root: Path, relative_path: str) -> Iterator[OpenedFile]:
    """Open a regular file beneath `root`, without following links.

    Raises:
        FolderError: the path is not a valid path below the root.
        SourceError: there is no such regular file, or it can't be opened.
    """
    parts = parts_of(relative_path)
    if not parts:
        raise FolderError("The root itself is not a file.")
    try:
        with _folder(root, parts[:-1]) as folder:
            descriptor = os.open(parts[-1], _FILE, dir_fd=folder)
    except OSError as error:
        raise SourceError(
            "The file does not exist any more, is a link, or may not be read by the server."
        ) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise SourceError("It is not a regular file: links, pipes and devices are not read.")
        yield OpenedFile(
            path=_OPEN_FILES / str(descriptor),
            descriptor=descriptor,
            bytes=found.st_size,
            modified_ns=found.st_mtime_ns,
        )
    finally:
        os.close(descriptor)


def walk_beneath(root: Path, relative_path: str) -> Iterator[FoundFile]:
    """Yield all files of a folder and its subfolders, sorted by name; or the file of that path.

    Hidden files and folders (with a leading dot) are skipped, because users don't expect them.
    Links, and subfolders that can't be read, are yielded as not regular, and never followed.

    Raises:
        FolderError: there is no such folder below the root, or it can't be read.
    """
    parts = parts_of(relative_path)
    try:
        with _folder(root, parts[:-1]) as parent:
            if parts and stat.S_ISREG(_lstat(parts[-1], parent).st_mode):
                yield FoundFile("/".join(parts), is_regular=True)
                return
        with _folder(root, parts) as folder:
            yield from _walk(folder, parts)
    except OSError as error:
        raise FolderError(
            "There is no such folder below that root, or the server may not read it."
        ) from error


def _walk(folder: int, parts: tuple[str, ...]) -> Iterator[FoundFile]:
    with os.scandir(folder) as entries:
        found = sorted(
            (entry.name, entry.is_dir(follow_symlinks=False), entry.is_file(follow_symlinks=False))
            for entry in entries
            if not entry.name.startswith(".")
        )
    for name, is_folder, is_file in found:
        path = (*parts, name)
        if not is_folder:
            yield FoundFile("/".join(path), is_regular=is_file)
            continue
        if len(path) > MAX_DEPTH:
            raise FolderError(f"The folder is nested too deeply: the limit is {MAX_DEPTH} levels.")
        try:
            inner = os.open(name, _FOLDER, dir_fd=folder)
        except OSError:
            # Another user's (`lost+found`), or deleted: not a reason to reject the other files.
            yield FoundFile("/".join(path), is_regular=False)
            continue
        try:
            yield from _walk(inner, path)
        finally:
            os.close(inner)


@contextmanager
def _folder(root: Path, parts: tuple[str, ...]) -> Iterator[int]:
    """Open the folder `parts` below `root` as a descriptor. The root itself may be a link."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            inner = os.open(part, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _lstat(name: str, folder: int) -> os.stat_result:
    return os.stat(name, dir_fd=folder, follow_symlinks=False)
