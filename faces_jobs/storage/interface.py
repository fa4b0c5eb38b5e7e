"""The interface of storages, and what they share: a local folder for files that are being written.

    incoming/<random>/<n>     an upload while it is received
    work/<token>/             the workspace of an attempt

Complete files are stored by each implementation in its own way, under the same keys:

    jobs/<job>/uploads/<position>                 a submitted file
    jobs/<job>/artifacts/<owner>-<token>/<name>   a file of one attempt; a row makes it visible
"""

from __future__ import annotations

import hashlib
import re
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from faces_jobs.errors import NotFoundError, StorageFullError, UploadTooLargeError
from faces_jobs.storage.disk import entries, idle_seconds, raising_storage_full
from faces_jobs.storage.progress import Progress, ignore_progress

_TOKEN = re.compile(r"[0-9a-f]{32}")
_JOB_ID = re.compile(r"[0-9a-f-]{36}")
_KEY = re.compile(rf"jobs/{_JOB_ID.pattern}(/[^/\x00-\x1f]+)+")


@dataclass(frozen=True, slots=True)
class IncomingFile:
    """A received file that is not part of a job yet. `name` is the user's name for it."""

    name: str
    path: Path
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A published file."""

    key: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A stored file, opened for reading and seeking. The caller closes `file`."""

    file: BinaryIO
    bytes: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class JobFolder:
    """The files of one job, with the seconds since the newest of them was changed.

    `attempts` has the key of each attempt that published files, and the same age of its files.
    """

    job_id: str
    age_seconds: float
    attempts: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed, and the error that prevented the removal of the rest, if any."""

    files: int
    bytes: int
    error: str | None


class Storage(ABC):
    """Files of jobs. Safe for concurrent threads and processes, whose file names never collide.

    Every method that accesses stored files may raise StorageError if they are in a bucket, and
    OSError if they are in a local folder. Methods that transfer files call `on_progress` as bytes
    move; if it raises, the transfer ends and leaves nothing incomplete behind.
    """

    def __init__(self, folder: Path, *, min_free_bytes: int = 0) -> None:
        self.folder = folder.resolve()
        self._min_free_bytes = min_free_bytes

    # Free space, uploads and workspaces on this machine

    def check_free_space(self, bytes_needed: int = 0) -> None:
        """Check that this machine has space for so many bytes beyond the reserve.

        Raises:
            StorageFullError: it has not.
        """
        try:
            free = shutil.disk_usage(self.folder).free
        except FileNotFoundError:
            with raising_storage_full():
                self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
        if free - bytes_needed < self._min_free_bytes:
            raise StorageFullError(
                f"The server's disk has only {free // 1024**2} MiB of free space: "
                "delete jobs that are no longer needed, or give it more room."
            )

    def disk_usage(self) -> tuple[int, int]:
        """Free and total bytes of the folder's file system."""
        usage = shutil.disk_usage(self.folder)
        return usage.free, usage.total

    def check_writable(self) -> None:
        """Check that a file can be written, and that space is left beyond the reserve.

        Raises:
            StorageFullError: there is too little space.
            StorageError: the bucket does not answer, or refuses access.
            OSError: the folder is missing or can't be written to.
        """
        self.check_free_space()
        probe = self.folder / "work" / f"probe-{uuid.uuid4().hex}"
        with raising_storage_full():
            probe.mkdir(parents=True)
            try:
                (probe / "file").write_bytes(b"x")
            finally:
                shutil.rmtree(probe, ignore_errors=True)

    @contextmanager
    def receive(
        self, *, max_bytes: int | None = None, expected_bytes: int = 0
    ) -> Iterator[Incoming]:
        """A folder to receive uploads in. Files that no job has taken are removed at the end.

        Raises:
            StorageFullError: there is no space for the expected bytes.
        """
        self.check_free_space(expected_bytes)
        folder = self.folder / "incoming" / uuid.uuid4().hex
        with raising_storage_full():
            folder.mkdir(parents=True)
        try:
            yield Incoming(folder, max_bytes=max_bytes)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def workspace(self, token: str) -> Iterator[Path]:
        """A folder on this machine for one attempt. It is removed at the end."""
        self.check_free_space()
        folder = self.folder / "work" / token
        with raising_storage_full():
            folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def workspaces(self) -> Iterator[tuple[str, float]]:
        """The tokens of existing workspaces, and the seconds since each was changed."""
        for path in entries(self.folder / "work"):
            if _TOKEN.fullmatch(path.name):
                yield path.name, idle_seconds(path)

    def remove_workspace(self, token: str) -> None:
        """Remove a workspace whose attempt has lost its lease."""
        shutil.rmtree(self.folder / "work" / token, ignore_errors=True)

    # Keys

    def upload_key(self, job_id: str, position: int) -> str:
        """The key of a job's submitted file at this position."""
        return f"jobs/{job_id}/uploads/{position}"

    def attempt_key(self, *, job_id: str, owner: str, token: str) -> str:
        """The key of the folder in which one attempt's files are published."""
        return f"jobs/{job_id}/artifacts/{owner}-{token}"

    # Stored files

    @abstractmethod
    def check_space_for_results(self, bytes_needed: int) -> None:
        """Check that a job's results of so many bytes can be stored.

        Raises:
            StorageFullError: there is too little space.
        """

    @abstractmethod
    def store_uploads(self, files: Sequence[tuple[IncomingFile, str]]) -> None:
        """Store received files under these keys. Each is stored completely or not at all.

        Once this returns, all of them survive a power failure.
        """

    @abstractmethod
    def publish(
        self,
        folder: Path,
        *,
        job_id: str,
        owner: str,
        token: str,
        on_progress: Progress = ignore_progress,
    ) -> dict[str, StoredFile]:
        """Store the files of a workspace's folder as artifacts: all of them, or none.

        `owner` and `token` are part of the key, so that an attempt that lost its lease never
        overwrites the files of the one that took over. Returns the files by name.
        """

    @abstractmethod
    def unpublish(self, *, job_id: str, owner: str, token: str) -> None:
        """Remove the files that an attempt published. Files that remain are left to the sweep."""

    @abstractmethod
    def remove_attempts(self, keys: Collection[str]) -> None:
        """Like `unpublish`, of several attempts by their keys."""

    @abstractmethod
    def fetch(
        self, key: str, *, on_progress: Progress = ignore_progress
    ) -> AbstractContextManager[Path]:
        """A path on this machine to a stored file, valid while this is open. Read-only.

        Raises:
            NotFoundError: the file does not exist.
            StorageFullError: there is no space on this machine for the download.
        """

    @abstractmethod
    def fetch_all(
        self, keys: Sequence[str], folder: Path, *, on_progress: Progress = ignore_progress
    ) -> list[Path]:
        """Paths on this machine to stored files; files in a bucket are downloaded to `folder`.

        Raises:
            NotFoundError: a file does not exist.
            StorageFullError: there is no space on this machine for the downloads.
        """

    @abstractmethod
    def open_file(self, key: str) -> OpenFile:
        """Open a stored file for random access.

        Raises:
            NotFoundError: the file does not exist.
        """

    @abstractmethod
    def existing(self, keys: Collection[str]) -> set[str]:
        """Those of these keys whose files exist."""

    @abstractmethod
    def delete_job(self, job_id: str) -> Removed:
        """Remove every file of a job, including what an earlier try has left.

        Does not raise if a file can't be removed: the result's `error` says why, and `files_left`
        counts what remains.
        """

    @abstractmethod
    def files_left(self, job_id: str) -> int:
        """The number of files of a job, including incomplete and partly removed ones."""

    @abstractmethod
    def job_folders(self, after: str = "") -> Iterator[JobFolder]:
        """The jobs that have files, ordered by id, from the first id greater than `after`.

        Whatever else is in the same place is ignored.
        """

    @abstractmethod
    def sweep(self, *, older_than_seconds: float) -> int:
        """Remove what interrupted work left behind, if it is older. Returns how many entries."""


class Incoming:
    """Receives the files of one submission, and limits their total size."""

    def __init__(self, folder: Path, *, max_bytes: int | None) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._bytes = 0
        self._count = 0

    def add(self, name: str, chunks: Iterable[bytes]) -> IncomingFile:
        """Write one file to disk as it arrives. It is synced, if at all, when it is stored.

        Raises:
            UploadTooLargeError: the submission's files together exceed the limit.
            StorageFullError: the disk is full.
        """
        path = self.folder / str(self._count)
        self._count += 1
        digest = hashlib.sha256()
        size = 0
        with raising_storage_full(), path.open("xb") as file:
            for chunk in chunks:
                self._bytes += len(chunk)
                if self._max_bytes is not None and self._bytes > self._max_bytes:
                    raise UploadTooLargeError(
                        f"The files together exceed {self._max_bytes} bytes, the limit for one "
                        "submission: split it into several."
                    )
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        return IncomingFile(name=name, path=path, bytes=size, sha256=digest.hexdigest())


def is_job_folder(name: str) -> bool:
    """Whether this is a job's folder, not `lost+found` or what a file manager leaves."""
    return _JOB_ID.fullmatch(name) is not None


def checked_key(key: str) -> str:
    """Validate a key and return it.

    Raises:
        NotFoundError: the key is not of a form that a storage creates.
    """
    if not _KEY.fullmatch(key) or ".." in key.split("/"):
        raise NotFoundError("This file does not exist.")
    return key
