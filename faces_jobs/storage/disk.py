"""The local disk: detecting that it is full, syncing and hashing files, ages, and file locks."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar

from faces_jobs.errors import StorageFullError

FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})
READ_BYTES = 256 * 1024
SYNC_THREADS = 8

Result = TypeVar("Result")


@contextmanager
def raising_storage_full() -> Iterator[None]:
    """Convert OSErrors "no space left" and "quota exceeded" to StorageFullError."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_ERRNOS:
            raise StorageFullError(
                "The server's disk is full: delete jobs that are no longer needed, or give it "
                "more room."
            ) from error
        raise


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_and_hash(path: Path) -> tuple[int, str]:
    """Sync a file to disk. Returns its size in bytes and its SHA-256 as hex."""
    digest = hashlib.sha256()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while chunk := os.read(descriptor, READ_BYTES):
            digest.update(chunk)
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size, digest.hexdigest()
    finally:
        os.close(descriptor)


def sync_and_hash_all(folder: Path) -> dict[str, tuple[int, str]]:
    """Sync every file in a folder. Returns size and SHA-256 by file name, in order of names.

    In parallel, as by `sync_all`.
    """
    paths = sorted(folder.iterdir(), key=lambda path: path.name)
    synced = _in_parallel(sync_and_hash, paths)
    return {path.name: synced[path] for path in paths}


def sync_all(paths: Sequence[Path]) -> None:
    """Sync files to disk, in parallel: a disk syncs many files in hardly more time than one."""
    _in_parallel(_sync, paths)


def sync_entries(folder: Path, *, top: Path) -> None:
    """Sync the entries of a folder and of those above it, up to `top`.

    So that new and renamed files survive a power failure, as do the folders that they are in: any
    of these may be new as well.
    """
    for path in (folder, *folder.parents):
        _sync(path)
        if path == top:
            return


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _in_parallel(work: Callable[[Path], Result], paths: Sequence[Path]) -> dict[Path, Result]:
    """Return the result of `work` for each path, or raise the error of one.

    Each thread gets its share at once: submitting files one by one takes as long as syncing.
    """

    def work_through(share: Sequence[Path]) -> dict[Path, Result]:
        return {path: work(path) for path in share}

    shares = [paths[first::SYNC_THREADS] for first in range(min(SYNC_THREADS, len(paths)))]
    results: dict[Path, Result] = {}
    with ThreadPoolExecutor(SYNC_THREADS) as pool:
        for share in pool.map(work_through, shares):
            results.update(share)
    return results


def paths_below(folder: Path) -> Iterator[Path]:
    """Every file and folder below a folder, but none of a folder that is removed meanwhile.

    `Path.rglob` raises then, and other processes remove folders at any time.
    """
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            yield Path(parent, name)


def tree_size(folder: Path) -> tuple[int, int]:
    """Number of files below a folder, and their total size in bytes; zeros if it is missing."""
    sizes = []
    for path in paths_below(folder):
        with suppress(FileNotFoundError):  # removed meanwhile
            if not path.is_dir():
                sizes.append(path.lstat().st_size)
    return len(sizes), sum(sizes)


def entries(folder: Path) -> list[Path]:
    """A folder's entries, sorted by name; none if it is missing, or is a file."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def age_seconds(path: Path) -> float:
    """Seconds since a file or folder was changed; 0 if it is missing."""
    try:
        return time.time() - path.lstat().st_mtime
    except FileNotFoundError:  # removed meanwhile
        return 0.0


def idle_seconds(folder: Path) -> float:
    """Seconds since a folder, or anything in it, was changed."""
    return min([age_seconds(folder), *(age_seconds(path) for path in paths_below(folder))])


def try_lock(file: IO[bytes]) -> bool:
    """Take an exclusive lock if it is free. Returns whether it was. Closing the file releases it.

    The kernel also releases it when its holder is killed, so a lock shows that its holder lives.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def is_same_file(file: IO[bytes], path: Path) -> bool:
    """Whether the path still refers to this open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
