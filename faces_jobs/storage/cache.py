"""Copies of submitted files from a bucket, kept for minutes while a machine's workers are at them.

    fetched/<job>/<digest of the key>         a whole copy
    fetched/<job>/<digest of the key>.part    while it is downloaded

All workers of a machine share them. Whoever reads a copy holds a shared lock on it, and only what
nobody holds is removed: so a worker that is killed holds nothing up. A copy is of a stranger's
video, which may be deleted at any time on another machine: it goes some minutes after its last use.
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
LOOK_SECONDS = 0.1
# To look at ten thousand copies takes a fifth of a second, which is more than an image does.
TRIM_EVERY_SECONDS = 5.0
PART = ".part"


class Cache:
    """Copies below a folder, together at most so many bytes beside those in use.

    Several processes that load at once may go beyond that for some seconds.
    """

    def __init__(self, folder: Path, *, max_bytes: int, keep_seconds: float = KEEP_SECONDS) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._keep_seconds = keep_seconds
        self._lock = threading.Lock()
        self._trimmed_at: float | None = None
        self._kept_bytes = 0  # then
        self._added_bytes = 0  # by this process since
        self._later: threading.Timer | None = None

    @contextmanager
    def copy(
        self,
        job_id: str,
        key: str,
        load: Callable[[BinaryIO], None],
        *,
        on_progress: Progress = ignore_progress,
    ) -> Iterator[Path]:
        """A copy, which nobody removes as long as this is open.

        Args:
            job_id: to which the file belongs.
            key: what is copied; another key is another file, for ever.
            load: writes the file. Called where no worker of this machine has done so.
            on_progress: called while another worker loads it, as the file grows.
        """
        path = self._folder / job_id / hashlib.sha256(key.encode()).hexdigest()[:32]
        file = self._opened(path, load, on_progress)
        try:
            yield path
        finally:
            with suppress(FileNotFoundError):  # its job was deleted
                os.utime(path)
            file.close()
            if self._has_to_trim():
                self.trim()
            self._trim_later()

    def forget(self, job_id: str) -> None:
        """Remove the copies of a job, whoever reads them: they are read to no end."""
        shutil.rmtree(self._folder / job_id, ignore_errors=True)

    def trim(self, *, to_bytes: int | None = None) -> int:
        """Remove what nobody holds: the old, and the least lately used beyond the bound."""
        with self._lock:
            self._trimmed_at, self._added_bytes = time.monotonic(), 0
        paths = [path for folder in entries(self._folder) for path in entries(folder)]
        copies = sorted((*_age_and_size(path), path) for path in paths)
        most = self._max_bytes if to_bytes is None else to_bytes
        if to_bytes is None and sum(size for _, size, _ in copies) > most:
            most -= most // 10  # so that the next copy is not one too many again
        kept = removed = 0
        for age, size, path in copies:  # the last used first
            # A part that nobody holds was begun by somebody who died.
            spare = path.suffix == PART or kept + size > most
            if (spare or age >= self._keep_seconds) and _remove(path):
                removed += 1
            else:
                kept += size
        with self._lock:
            self._kept_bytes = kept
        return removed

    def _has_to_trim(self) -> bool:
        """Whether there may be too much, or something too old."""
        with self._lock:
            return (
                self._trimmed_at is None
                or time.monotonic() - self._trimmed_at >= TRIM_EVERY_SECONDS
                or self._kept_bytes + self._added_bytes > self._max_bytes
            )

    def _opened(
        self, path: Path, load: Callable[[BinaryIO], None], on_progress: Progress
    ) -> IO[bytes]:
        while True:
            with suppress(FileNotFoundError):
                file = path.open("rb")
                fcntl.flock(file, fcntl.LOCK_SH)
                if is_same_file(file, path):
                    return file
                file.close()  # somebody removed it between the two
                continue
            self._load(path, load, on_progress)

    def _load(self, path: Path, load: Callable[[BinaryIO], None], on_progress: Progress) -> None:
        part = path.with_suffix(PART)
        with raising_storage_full():
            path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
                # Only one of a machine's workers loads it; the others wait here for that.
                _lock_when_loaded(file, on_progress)
                if path.exists() or not is_same_file(file, part):
                    return
                try:
                    file.truncate(0)  # of what somebody left who died
                    load(file)
                    file.flush()
                    part.replace(path)
                    with self._lock:
                        self._added_bytes += os.fstat(file.fileno()).st_size
                except BaseException:
                    part.unlink(missing_ok=True)
                    raise

    def _trim_later(self) -> None:
        """See to it that copies go though no more work comes."""
        with self._lock:
            if self._later is not None:
                self._later.cancel()
            self._later = threading.Timer(self._keep_seconds + 1, self.trim)
            self._later.daemon = True
            self._later.start()


def _lock_when_loaded(file: IO[bytes], on_progress: Progress) -> None:
    """Wait for whoever loads a part. That it goes on is told only as long as the part grows."""
    changed = os.fstat(file.fileno()).st_mtime_ns
    while not try_lock(file):
        time.sleep(LOOK_SECONDS)
        before, changed = changed, os.fstat(file.fileno()).st_mtime_ns
        if changed != before:
            on_progress()


def _age_and_size(path: Path) -> tuple[float, int]:
    """Seconds since its last use, and bytes; nothing of both where it is gone."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return 0.0, 0
    return time.time() - found.st_mtime, found.st_size


def _remove(path: Path) -> bool:
    """Remove a copy that nobody holds, and its folder where that leaves it empty."""
    try:
        with path.open("rb") as file:
            if not try_lock(file) or not is_same_file(file, path):
                return False
            path.unlink()
    except FileNotFoundError:
        return False
    with suppress(OSError):  # not empty, or gone: both are well
        path.parent.rmdir()
    return True
