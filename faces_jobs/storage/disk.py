"""The local disk: telling that it is full, settling what is written, ages, and who is at work."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from faces_jobs.errors import StorageFullError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
READ_BYTES = 256 * 1024
SETTLE_THREADS = 8


@contextmanager
def raising_storage_full() -> Iterator[None]:
    """Turn "no space left" and "over quota", from whatever library, into StorageFullError."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
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
    """Bytes and SHA-256 of a file, once it is on disk and not only in memory."""
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
    """The same of every file in a folder, by name and in that order.

    Side by side: a disk settles many files in hardly more time than one.
    """
    paths = sorted(folder.iterdir(), key=lambda path: path.name)

    def settle(some: Sequence[Path]) -> dict[str, tuple[int, str]]:
        return {path.name: sync_and_hash(path) for path in some}

    # Each thread gets its share at once: to hand files out one by one takes as long as they do.
    shares = [paths[first::SETTLE_THREADS] for first in range(min(SETTLE_THREADS, len(paths)))]
    with ThreadPoolExecutor(SETTLE_THREADS) as pool:
        found = {name: one for share in pool.map(settle, shares) for name, one in share.items()}
    return {path.name: found[path.name] for path in paths}


def sync_folder(folder: Path) -> None:
    """See to it that the names in a folder are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def tree_size(folder: Path) -> tuple[int, int]:
    """Files below a folder, and their bytes together; nothing where it is gone."""
    sizes = []
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # it went while we looked
            if not path.is_dir():
                sizes.append(path.lstat().st_size)
    return len(sizes), sum(sizes)


def entries(folder: Path) -> list[Path]:
    """What is in a folder, by name; nothing where it is gone."""
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def age_seconds(path: Path) -> float:
    """Since a file or folder changed; 0 where it is gone."""
    try:
        return time.time() - path.lstat().st_mtime
    except FileNotFoundError:  # it went while we looked
        return 0.0


def idle_seconds(folder: Path) -> float:
    """Since a folder, or anything in it, changed."""
    return min([age_seconds(folder), *(age_seconds(file) for file in folder.rglob("*"))])


def try_lock(file: IO[bytes]) -> bool:
    """Lock a file against all others, if nobody holds it. It is free when it is closed.

    The system frees it too where its holder is killed: so a lock tells whether its holder lives.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def is_same_file(file: IO[bytes], path: Path) -> bool:
    """Whether an open file is still the one of this name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
