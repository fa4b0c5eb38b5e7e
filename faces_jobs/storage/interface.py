"""What a storage promises, and what all of them have: a local folder in which files are made.

    incoming/<random>/<n>     while an upload streams in
    work/<token>/             what a worker writes until it is whole

Where whole files are kept, each kind says itself. Their keys are the same everywhere:

    jobs/<job>/uploads/<position>                 a submitted file
    jobs/<job>/artifacts/<owner>-<token>/<name>   what one attempt made; a row makes it visible
"""

from __future__ import annotations

import hashlib
import os
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
_KEY = re.compile(r"jobs/[0-9a-f-]{36}(/[^/\x00-\x1f]+)+")


@dataclass(frozen=True, slots=True)
class IncomingFile:
    """A file that was streamed to disk, not yet part of a job. `name` is what the user calls it."""

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
    """A stored file that can be read and sought in. Whoever opened it closes `file`."""

    file: BinaryIO
    bytes: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class JobFolder:
    """Files of one job, with the seconds since the newest of them changed.

    `attempts` are the keys of what attempts published, each with its seconds likewise.
    """

    job_id: str
    age_seconds: float
    attempts: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Removed:
    """What went, and what was in the way of the rest."""

    files: int
    bytes: int
    error: str | None


class Storage(ABC):
    """Files of jobs. Thread-safe and safe between processes: names never meet.

    Every method that looks at kept files may raise StorageError where they are elsewhere, and
    OSError where they are here. Those that fetch_all files from there or take them there call
    `on_progress` as bytes move; what it raises ends them, and of what they began nothing stays.
    """

    def __init__(self, folder: Path, *, min_free_bytes: int = 0) -> None:
        self.folder = folder.resolve()
        self._min_free_bytes = min_free_bytes

    # Room, uploads and workspaces: on this machine

    def check_room(self, bytes_needed: int = 0) -> None:
        """See whether so much can be written on this machine and the reserve be left.

        Raises:
            StorageFullError: it can't.
        """
        try:
            free = shutil.disk_usage(self.folder).free
        except FileNotFoundError:
            with raising_storage_full():
                self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
        if free - bytes_needed < self._min_free_bytes:
            raise StorageFullError(
                f"The server's disk has {free // 1024**2} MiB left, which is too little: "
                "delete jobs that are no longer needed, or give it more room."
            )

    def room(self) -> tuple[int, int]:
        """Bytes that are free in the folder's file system, and all that it has."""
        usage = shutil.disk_usage(self.folder)
        return usage.free, usage.total

    def check_writable(self) -> None:
        """See whether a file can be written, with room to spare.

        Raises:
            StorageFullError: there is no room.
            StorageError: where files are kept does not answer, or refuses.
            OSError: the folder is gone or may not be written to.
        """
        self.check_room()
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
        """A place to stream uploads to. What no job took is removed at the end.

        Raises:
            StorageFullError: there is no room for what is expected.
        """
        self.check_room(expected_bytes)
        folder = self.folder / "incoming" / uuid.uuid4().hex
        with raising_storage_full():
            folder.mkdir(parents=True)
        try:
            yield Incoming(folder, max_bytes=max_bytes)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def workspace(self, token: str) -> Iterator[Path]:
        """A folder for one attempt, on this machine. Removed at the end."""
        self.check_room()
        folder = self.folder / "work" / token
        with raising_storage_full():
            folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def workspaces(self) -> Iterator[tuple[str, float]]:
        """Tokens under which somebody works, or died at work, and the seconds since it changed."""
        for path in entries(self.folder / "work"):
            if _TOKEN.fullmatch(path.name):
                yield path.name, idle_seconds(path)

    def remove_workspace(self, token: str) -> None:
        """Remove the workspace of somebody whose lease is gone."""
        shutil.rmtree(self.folder / "work" / token, ignore_errors=True)

    # Names

    def upload_key(self, job_id: str, position: int) -> str:
        """Where a job's file of this position belongs."""
        return f"jobs/{job_id}/uploads/{position}"

    def attempt_key(self, *, job_id: str, owner: str, token: str) -> str:
        """Where one attempt's files are published."""
        return f"jobs/{job_id}/artifacts/{owner}-{token}"

    # Files that are kept

    @abstractmethod
    def check_results_room(self, bytes_needed: int) -> None:
        """See whether so much can be kept of a job's results.

        Raises:
            StorageFullError: it can't.
        """

    @abstractmethod
    def store_uploads(self, files: Sequence[tuple[IncomingFile, str]]) -> None:
        """Make received files part of a job, by their keys. Each is there whole, or not at all."""

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
        """Move the files of a workspace's folder to where artifacts are kept: all, or none.

        `owner` and `token` are part of the key: an attempt that lost its lease publishes beside
        the winner's files, never over them. Returns the files by name.
        """

    @abstractmethod
    def unpublish(self, *, job_id: str, owner: str, token: str) -> None:
        """Remove what an attempt published. What can't be removed is left to the sweep."""

    @abstractmethod
    def remove_attempt(self, key: str) -> None:
        """Remove what an attempt published, by its key, likewise."""

    @abstractmethod
    def fetch(
        self, key: str, *, on_progress: Progress = ignore_progress
    ) -> AbstractContextManager[Path]:
        """A kept file as a path on this machine, for as long as this is open; not to be changed.

        Raises:
            NotFoundError: there is no such file.
            StorageFullError: it is kept elsewhere, and there is no room for it here.
        """

    @abstractmethod
    def fetch_all(
        self, keys: Sequence[str], folder: Path, *, on_progress: Progress = ignore_progress
    ) -> list[Path]:
        """Kept files as paths on this machine: below `folder`, where they are kept elsewhere.

        Raises:
            NotFoundError: one is not there.
            StorageFullError: there is no room for them here.
        """

    @abstractmethod
    def open_file(self, key: str) -> OpenFile:
        """A kept file, to be read from any place in it.

        Raises:
            NotFoundError: there is no such file.
        """

    @abstractmethod
    def existing(self, keys: Collection[str]) -> set[str]:
        """Those of these files that are there."""

    @abstractmethod
    def delete_job(self, job_id: str) -> Removed:
        """Remove every file of a job, also what an earlier try left. Tells what it removed.

        Nothing is raised where a file can't be removed: `files_left` knows, and `error` says why.
        """

    @abstractmethod
    def files_left(self, job_id: str) -> int:
        """How many files of a job there are, half-made ones and those on their way out too."""

    @abstractmethod
    def job_folders(self, after: str = "") -> Iterator[JobFolder]:
        """Jobs that have files, in the order of their ids, from the first behind `after`."""

    @abstractmethod
    def sweep(self, *, older_than_seconds: float) -> int:
        """Remove what died half-way left behind, if it is so old. Returns how many things."""


class Incoming:
    """One submission's files as they stream in; counts their bytes together."""

    def __init__(self, folder: Path, *, max_bytes: int | None) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._bytes = 0
        self._count = 0

    def add(self, name: str, chunks: Iterable[bytes]) -> IncomingFile:
        """Write one file to disk as it arrives.

        Raises:
            UploadTooLargeError: the submission's files are together larger than allowed.
            StorageFullError: no room.
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
                        f"The files are together larger than {self._max_bytes} bytes, the most "
                        "that this server takes at once: submit them in parts."
                    )
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            file.flush()
            os.fsync(file.fileno())
        return IncomingFile(name=name, path=path, bytes=size, sha256=digest.hexdigest())


def checked_key(key: str) -> str:
    """The key, if it is one that a storage gives.

    Raises:
        NotFoundError: it is not.
    """
    if not _KEY.fullmatch(key) or ".." in key.split("/"):
        raise NotFoundError("There is no such file.")
    return key
