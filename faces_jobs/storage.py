"""Where files are kept: uploads and artifacts in a local folder, under names made by the server.

    incoming/<random>/<n>                        while an upload streams in
    jobs/<job>/uploads/<position>                 a submitted file
    jobs/<job>/artifacts/<owner>-<token>/<name>   what one attempt made; a row makes it visible
    work/<token>/                                 what a worker writes until it is whole
    trash/<random>/                               on its way out

All of it is one file system, so that a rename publishes or removes a whole folder at once.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from faces_jobs.errors import NotFoundError, StorageFullError, UploadTooLargeError
from faces_jobs.settings import Settings

READ_BYTES = 1024 * 1024
SETTLE_THREADS = 16
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
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
class Removed:
    """What went, and what was in the way of the rest."""

    files: int
    bytes: int
    error: str | None


class LocalStorage:
    """Files below one folder. Thread-safe and safe between processes: names never meet."""

    def __init__(self, folder: Path, *, min_free_bytes: int = 0) -> None:
        self.folder = folder.resolve()
        self._min_free_bytes = min_free_bytes

    def check_room(self, bytes_needed: int = 0) -> None:
        """See whether so much can be written and the reserve be left.

        Raises:
            StorageFullError: it can't.
        """
        with told_when_full():
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
            OSError: the folder is gone or may not be written to.
        """
        self.check_room()
        probe = self.folder / "work" / f"probe-{uuid.uuid4().hex}"
        with told_when_full():
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
        with told_when_full():
            folder.mkdir(parents=True)
        try:
            yield Incoming(folder, max_bytes=max_bytes)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def upload_key(self, job_id: str, position: int) -> str:
        """Where a job's file of this position belongs."""
        return f"jobs/{job_id}/uploads/{position}"

    def take_upload(self, file: IncomingFile, key: str) -> None:
        """Make a received file part of a job."""
        path = self.path_of(key)
        with told_when_full():
            path.parent.mkdir(parents=True, exist_ok=True)
            file.path.rename(path)

    def path_of(self, key: str) -> Path:
        """The file behind a key.

        Raises:
            NotFoundError: the key is none that this storage gave.
        """
        if not _KEY.fullmatch(key) or ".." in key.split("/"):
            raise NotFoundError("There is no such file.")
        return self.folder / key

    @contextmanager
    def workspace(self, token: str) -> Iterator[Path]:
        """A folder for one attempt, on the storage's file system. Removed at the end."""
        self.check_room()
        folder = self.folder / "work" / token
        with told_when_full():
            folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def attempt_key(self, *, job_id: str, owner: str, token: str) -> str:
        """Where one attempt's files are published."""
        return f"jobs/{job_id}/artifacts/{owner}-{token}"

    def publish(
        self, folder: Path, *, job_id: str, owner: str, token: str
    ) -> dict[str, StoredFile]:
        """Move a workspace's folder, whole and at once, to where artifacts are kept.

        `owner` and `token` are part of the key: an attempt that lost its lease publishes beside
        the winner's files, never over them. Returns the files by name.
        """
        home = self.attempt_key(job_id=job_id, owner=owner, token=token)
        stored = {}
        with told_when_full():
            paths = sorted(folder.iterdir())
            # Side by side: a disk settles many files in hardly more time than one.
            with ThreadPoolExecutor(SETTLE_THREADS) as pool:
                for path, (bytes_, sha256) in zip(paths, pool.map(_settled, paths), strict=True):
                    stored[path.name] = StoredFile(f"{home}/{path.name}", bytes_, sha256)
            target = self.path_of(home)
            target.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(target)
            _sync_folder(target.parent)
        return stored

    def unpublish(self, *, job_id: str, owner: str, token: str) -> None:
        """Remove what an attempt published, and its job's folder where that leaves it empty."""
        folder = self.path_of(self.attempt_key(job_id=job_id, owner=owner, token=token))
        self._remove(folder)
        for parent in (folder.parent, folder.parent.parent):
            try:
                parent.rmdir()
            except OSError:  # not empty, or gone: both are well
                return

    def delete_job(self, job_id: str) -> Removed:
        """Remove every file of a job, also what an earlier try left. Tells what it removed.

        Nothing is raised where a file can't be removed: `files_left` knows, and `error` says why.
        """
        folder = self._job_folder(job_id)
        files, bytes_ = self._size_of(job_id)
        errors: list[str] = []
        # Out of sight in one step, then gone in its own time: no half-deleted job is ever seen.
        trash = self.folder / "trash" / f"{job_id}.{uuid.uuid4().hex}"
        try:
            trash.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(trash)
        except FileNotFoundError:
            pass
        except OSError as error:
            errors.append(f"{error.strerror}")
        for path in self._trash_of(job_id):
            shutil.rmtree(path, onerror=lambda _call, _path, told: errors.append(str(told[1])))
        left_files, left_bytes = self._size_of(job_id)
        return Removed(
            max(0, files - left_files), max(0, bytes_ - left_bytes), errors[0] if errors else None
        )

    def files_left(self, job_id: str) -> int:
        """How many files and folders of a job there are, those on their way out among them."""
        homes = [path for path in (self._job_folder(job_id),) if path.exists()]
        homes += self._trash_of(job_id)
        return sum(1 + sum(1 for _ in home.rglob("*")) for home in homes)

    def has_workspace(self, token: str) -> bool:
        """Whether somebody works, or died at work, under this token."""
        return (self.folder / "work" / token).exists()

    def workspaces(self) -> Iterator[tuple[str, float]]:
        """Tokens that have a workspace, with the seconds since anything in it changed."""
        for path in _entries(self.folder / "work"):
            if _TOKEN.fullmatch(path.name):
                ages = [_age_seconds(path), *(_age_seconds(file) for file in path.rglob("*"))]
                yield path.name, min(ages)

    def remove_workspace(self, token: str) -> None:
        """Remove the workspace of somebody whose lease is gone."""
        shutil.rmtree(self.folder / "work" / token, ignore_errors=True)

    def job_folders(self) -> Iterator[tuple[str, float]]:
        """Jobs that have files, with the seconds since their folder last changed."""
        for path in _entries(self.folder / "jobs"):
            yield path.name, _age_seconds(path)

    def attempts(self, job_id: str) -> Iterator[tuple[str, float]]:
        """What attempts published for a job (key of the folder), with seconds since."""
        home = f"jobs/{job_id}/artifacts"
        for path in _entries(self.path_of(home)):
            yield f"{home}/{path.name}", _age_seconds(path)

    def remove_attempt(self, key: str) -> None:
        """Remove a folder that `attempts` named."""
        self._remove(self.path_of(key))

    def sweep(self, *, older_than_seconds: float) -> int:
        """Remove what died half-way left behind: incoming files, workspaces, trash.

        A folder in which any file changed since is left alone. Returns how many were removed.
        """
        removed = 0
        for kind in ("incoming", "work", "trash"):
            for path in _entries(self.folder / kind):
                ages = [_age_seconds(path), *(_age_seconds(file) for file in path.rglob("*"))]
                if min(ages) >= older_than_seconds:
                    shutil.rmtree(path, ignore_errors=True)
                    removed += 1
        return removed

    def _job_folder(self, job_id: str) -> Path:
        return self.path_of(f"jobs/{job_id}/uploads").parent

    def _trash_of(self, job_id: str) -> list[Path]:
        return sorted((self.folder / "trash").glob(f"{job_id}.*"))

    def _size_of(self, job_id: str) -> tuple[int, int]:
        sizes = [_size(path) for path in (self._job_folder(job_id), *self._trash_of(job_id))]
        return sum(files for files, _ in sizes), sum(bytes_ for _, bytes_ in sizes)

    def _remove(self, folder: Path) -> None:
        # Out of sight in one step, then gone in its own time: no half-deleted job is ever seen.
        trash = self.folder / "trash" / uuid.uuid4().hex
        trash.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(trash)
        except FileNotFoundError:
            return
        shutil.rmtree(trash, ignore_errors=True)


class Incoming:
    """One submission's files as they stream in; counts their bytes together."""

    def __init__(self, folder: Path, *, max_bytes: int | None) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._bytes = 0
        self._count = 0

    def add(self, name: str, chunks: Iterable[bytes]) -> IncomingFile:
        """Write one file to disk as it arrives.

        Raises:
            UploadTooLargeError: the submission's files are together larger than allowed.
            StorageFullError: no room.
        """
        path = self._folder / str(self._count)
        self._count += 1
        digest = hashlib.sha256()
        size = 0
        with told_when_full(), path.open("xb") as file:
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


def open_storage(settings: Settings) -> LocalStorage:
    """The storage that web and workers share."""
    return LocalStorage(settings.data_folder / "files", min_free_bytes=settings.min_free_bytes)


@contextmanager
def told_when_full() -> Iterator[None]:
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


def _settled(path: Path) -> tuple[int, str]:
    """Bytes and SHA-256 of a file, once it is on disk and not only in memory."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size, sha256


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _size(folder: Path) -> tuple[int, int]:
    """Files below a folder, and their bytes together; nothing where it is gone."""
    sizes = []
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # it went while we looked
            if not path.is_dir():
                sizes.append(path.lstat().st_size)
    return len(sizes), sum(sizes)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _age_seconds(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except FileNotFoundError:  # it went while we looked
        return 0.0
