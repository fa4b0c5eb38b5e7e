"""A cache on local disk of submitted files from a bucket, shared by a machine's workers.

    fetched/<job>/<digest of the key>         a complete copy
    fetched/<job>/<digest of the key>.part    a copy that is being downloaded

A reader holds a shared lock on its copy, and only copies without a lock are removed; the kernel
releases the locks of killed workers. Copies are removed some minutes after their last use, since
users' files may be deleted on another machine at any time, and must not stay on this one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO

from faces_jobs.storage.disk import entries, is_same_file, raising_storage_full, try_lock
from faces_jobs.storage.progress import Progress, ignore_progress

KEEP_SECONDS = 300.0
POLL_SECONDS = 0.1
# Listing ten thousand copies takes a fifth of a second, longer than processing an image.
TRIM_EVERY_SECONDS = 5.0
PART_SUFFIX = ".part"


class Cache:
    """Copies below a folder, limited to `max_bytes` in addition to those in use.

    Several processes that download at the same time may exceed the limit for some seconds.
    """

    def __init__(self, folder: Path, *, max_bytes: int, keep_seconds: float = KEEP_SECONDS) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._keep_seconds = keep_seconds
        self._lock = threading.Lock()
        self._trimmed_at: float | None = None
        self._kept_bytes = 0  # after the last trim
        self._added_bytes = 0  # by this process since then
        self._trim_timer: threading.Timer | None = None

    @contextmanager
    def copy(
        self,
        job_id: str,
        key: str,
        load: Callable[[BinaryIO], None],
        *,
        on_progress: Progress = ignore_progress,
    ) -> Iterator[Path]:
        """A path to a copy, which is not removed while this is open.

        Args:
            job_id: the job to which the file belongs.
            key: the file's key in the bucket; a key's content never changes.
            load: downloads the file. Called if no worker of this machine has done so.
            on_progress: called while another worker downloads it, as the file grows.
        """
        path = self._folder / job_id / hashlib.sha256(key.encode()).hexdigest()[:32]
        file = self._open(path, load, on_progress)
        try:
            yield path
        finally:
            with suppress(FileNotFoundError):  # its job was deleted
                os.utime(path)
            file.close()
            if self._is_trim_due():
                self.trim()
            self._schedule_trim()

    def forget(self, job_id: str) -> None:
        """Remove the copies of a deleted job, even those in use: their results are discarded."""
        shutil.rmtree(self._folder / job_id, ignore_errors=True)

    def trim(self, *, to_bytes: int | None = None) -> int:
        """Remove old copies, and the least recently used ones beyond the limit, unless in use.

        Returns how many were removed.
        """
        with self._lock:
            self._trimmed_at, self._added_bytes = time.monotonic(), 0
        paths = [path for folder in entries(self._folder) for path in entries(folder)]
        copies = sorted((*_age_and_size(path), path) for path in paths)
        limit = self._max_bytes if to_bytes is None else to_bytes
        if to_bytes is None and sum(size for _, size, _ in copies) > limit:
            limit -= limit // 10  # so that the next copy does not exceed the limit again
        kept = removed = 0
        for age, size, path in copies:  # the most recently used first
            # An unlocked part was left by a process that died.
            is_removable = path.suffix == PART_SUFFIX or kept + size > limit
            if (is_removable or age >= self._keep_seconds) and _remove_unless_locked(path):
                removed += 1
            else:
                kept += size
        with self._lock:
            self._kept_bytes = kept
        return removed

    def _is_trim_due(self) -> bool:
        """Whether the limit may be exceeded, or copies may be too old."""
        with self._lock:
            return (
                self._trimmed_at is None
                or time.monotonic() - self._trimmed_at >= TRIM_EVERY_SECONDS
                or self._kept_bytes + self._added_bytes > self._max_bytes
            )

    def _open(
        self, path: Path, load: Callable[[BinaryIO], None], on_progress: Progress
    ) -> IO[bytes]:
        """Open a copy with a shared lock, downloading it as long as it does not exist."""
        while True:
            with suppress(FileNotFoundError):
                file = path.open("rb")
                fcntl.flock(file, fcntl.LOCK_SH)
                if is_same_file(file, path):
                    return file
                file.close()  # removed between opening and locking
                continue
            self._load(path, load, on_progress)

    def _load(self, path: Path, load: Callable[[BinaryIO], None], on_progress: Progress) -> None:
        part = path.with_suffix(PART_SUFFIX)
        with raising_storage_full():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o600)
            except FileNotFoundError:  # the folder was just removed with its last copy
                return
            with os.fdopen(descriptor, "r+b") as file:
                # Only one of a machine's workers downloads it; the others wait here.
                _wait_for_lock(file, on_progress)
                if path.exists() or not is_same_file(file, part):
                    return
                try:
                    file.truncate(0)  # a process that died may have left something
                    load(file)
                    file.flush()
                    part.replace(path)
                    with self._lock:
                        self._added_bytes += os.fstat(file.fileno()).st_size
                except BaseException:
                    part.unlink(missing_ok=True)
                    raise

    def _schedule_trim(self) -> None:
        """Schedule a trim, so that copies are removed even if no more work comes."""
        with self._lock:
            if self._trim_timer is not None:
                self._trim_timer.cancel()
            self._trim_timer = threading.Timer(self._keep_seconds + 1, self.trim)
            self._trim_timer.daemon = True
            self._trim_timer.start()


def _wait_for_lock(file: IO[bytes], on_progress: Progress) -> None:
    """Wait until no other process downloads this part, reporting progress while the part grows."""
    changed = os.fstat(file.fileno()).st_mtime_ns
    while not try_lock(file):
        time.sleep(POLL_SECONDS)
        before, changed = changed, os.fstat(file.fileno()).st_mtime_ns
        if changed != before:
            on_progress()


def _age_and_size(path: Path) -> tuple[float, int]:
    """Seconds since the last use, and size in bytes; zeros if the file is missing."""
    try:
        stat = path.lstat()
    except FileNotFoundError:
        return 0.0, 0
    return time.time() - stat.st_mtime, stat.st_size


def _remove_unless_locked(path: Path) -> bool:
    """Remove a copy that is not in use, and its folder if that is empty then."""
    try:
        with path.open("rb") as file:
            if not try_lock(file) or not is_same_file(file, path):
                return False
            path.unlink()
    except FileNotFoundError:
        return False
    with suppress(OSError):  # not empty, or missing: both are fine
        path.parent.rmdir()
    return True
