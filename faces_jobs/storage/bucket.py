"""Storage in a bucket that all machines share; files that are being written are on local disks.

    jobs/...        stored files, by their keys
    work/<token>    an empty marker that exists while a worker on any machine works on this attempt
    probes/<n>      exists for a moment while the bucket is checked for write access

An object appears in a bucket completely or not at all, and rows refer to an attempt's files only
after all of them are uploaded: nothing has to be moved or renamed.
"""

from __future__ import annotations

import logging
import shutil
import uuid
from collections.abc import Collection, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from io import BufferedReader
from itertools import groupby
from os.path import commonprefix
from pathlib import Path
from typing import BinaryIO

from faces_jobs.errors import StorageError, StorageFullError
from faces_jobs.storage.cache import Cache
from faces_jobs.storage.disk import age_seconds, entries, idle_seconds, sync_and_hash_all, try_lock
from faces_jobs.storage.interface import (
    Incoming,
    IncomingFile,
    JobFolder,
    OpenFile,
    Removed,
    Storage,
    StoredFile,
    checked_key,
    is_job_folder,
)
from faces_jobs.storage.progress import Progress, ignore_progress
from faces_jobs.storage.reading import BucketReader
from faces_jobs.storage.s3 import Bucket

BUFFER_BYTES = 256 * 1024
LOCK = ".lock"
# A folder that is younger than this may not have its lock yet.
ABANDONED_SECONDS = 60.0

_log = logging.getLogger(__name__)


class BucketStorage(Storage):
    """Stores files in a bucket. `folder` is local, for files that are being written or read."""

    def __init__(
        self, folder: Path, bucket: Bucket, *, cache_bytes: int, min_free_bytes: int = 0
    ) -> None:
        super().__init__(folder, min_free_bytes=min_free_bytes)
        self._bucket = bucket
        self._cache = Cache(self.folder / "fetched", max_bytes=cache_bytes)

    def check_writable(self) -> None:
        """Check that files can be written, on this machine and to the bucket; see `Storage`."""
        super().check_writable()
        probe = f"probes/{uuid.uuid4().hex}"
        self._bucket.put_marker(probe)
        error = self._bucket.delete([probe])
        if error is not None:
            raise StorageError(f"The bucket {self._bucket.name} refuses to delete files: {error}.")

    def check_space_for_results(self, bytes_needed: int) -> None:  # noqa: ARG002 (a bucket has no limit)
        """Check only that this machine has space to work; see `Storage`."""
        self.check_free_space()

    @contextmanager
    def receive(
        self, *, max_bytes: int | None = None, expected_bytes: int = 0
    ) -> Iterator[Incoming]:
        """A folder to receive uploads in, locked by this process; see `Storage`."""
        self._remove_abandoned("incoming")
        received = super().receive(max_bytes=max_bytes, expected_bytes=expected_bytes)
        with received as incoming, _locked(incoming.folder):
            yield incoming

    @contextmanager
    def workspace(self, token: str) -> Iterator[Path]:
        """A folder on this machine, and a marker that all machines see; see `Storage`."""
        self._remove_abandoned("work")
        with super().workspace(token) as folder, _locked(folder):
            self._bucket.put_marker(_marker_key(token))
            try:
                yield folder
            finally:
                self._try_delete([_marker_key(token)])

    def workspaces(self) -> Iterator[tuple[str, float]]:
        """The tokens that have a marker, with the seconds since it was written."""
        for marker in self._bucket.list("work/"):
            yield marker.key.removeprefix("work/"), marker.age_seconds

    def remove_workspace(self, token: str) -> None:
        """Remove the marker, and the folder if it is on this machine; see `Storage`."""
        super().remove_workspace(token)
        self._try_delete([_marker_key(token)])

    def store_uploads(self, files: Sequence[tuple[IncomingFile, str]]) -> None:
        """Upload received files in parallel; see `Storage`."""
        self._bucket.put([(file.path, checked_key(key)) for file, key in files])
        for file, _ in files:
            file.path.unlink()

    def publish(
        self,
        folder: Path,
        *,
        job_id: str,
        owner: str,
        token: str,
        on_progress: Progress = ignore_progress,
    ) -> dict[str, StoredFile]:
        """Upload the files of a workspace's folder; see `Storage`."""
        folder_key = self.attempt_key(job_id=job_id, owner=owner, token=token)
        stored = {
            name: StoredFile(checked_key(f"{folder_key}/{name}"), bytes_, sha256)
            for name, (bytes_, sha256) in sync_and_hash_all(folder).items()
        }
        try:
            self._bucket.put(
                [(folder / name, file.key) for name, file in stored.items()],
                on_progress=on_progress,
            )
        except BaseException:
            self.remove_attempts([folder_key])
            raise
        return stored

    def unpublish(self, *, job_id: str, owner: str, token: str) -> None:
        """Delete an attempt's files; see `Storage`."""
        self.remove_attempts([self.attempt_key(job_id=job_id, owner=owner, token=token)])

    def remove_attempts(self, keys: Collection[str]) -> None:
        """Delete the attempts' files; see `Storage`.

        A long video has thousands of attempts: their files are listed and deleted together.
        """
        folders = {checked_key(key) for key in keys}
        if not folders:
            return
        prefix = commonprefix(sorted(folders))  # noqa: RUF071 (it need not end at a slash)
        removed = self._delete_below(prefix, folders)
        if removed.error is not None:
            _log.warning("files of %s are left to the sweep: %s", min(folders), removed.error)

    @contextmanager
    def fetch(self, key: str, *, on_progress: Progress = ignore_progress) -> Iterator[Path]:
        """A cached copy on this machine, which its workers share; see `Storage`."""
        job_id = checked_key(key).split("/")[1]

        def load(file: BinaryIO) -> None:
            self._ensure_free_space(self._bucket.find(key).bytes)
            self._bucket.get([(key, file)], on_progress=on_progress)

        with self._cache.copy(job_id, key, load, on_progress=on_progress) as path:
            yield path

    def fetch_all(
        self, keys: Sequence[str], folder: Path, *, on_progress: Progress = ignore_progress
    ) -> list[Path]:
        """Download files; see `Storage`."""
        paths = [folder / f"{number}{Path(key).suffix}" for number, key in enumerate(keys)]
        self._ensure_free_space()
        self._bucket.get(
            [(checked_key(key), str(path)) for key, path in zip(keys, paths, strict=True)],
            on_progress=on_progress,
        )
        return paths

    def open_file(self, key: str) -> OpenFile:
        """Open a file that is downloaded as it is read; see `Storage`."""
        found = self._bucket.find(checked_key(key))
        reader = BucketReader(self._bucket, key, found.bytes)
        return OpenFile(BufferedReader(reader, BUFFER_BYTES), found.bytes, found.modified)

    def existing(self, keys: Collection[str]) -> set[str]:
        """List the folders of these keys, with fewer requests than files; see `Storage`.

        Not those of their jobs: a job may have a hundred thousand files.
        """
        wanted = set(keys)
        folders = {key.rpartition("/")[0] for key in wanted}
        return {
            found.key for folder in sorted(folders) for found in self._bucket.list(f"{folder}/")
        } & wanted

    def delete_job(self, job_id: str) -> Removed:
        """Delete every file of a job, and its copies on this machine; see `Storage`."""
        self._cache.forget(job_id)
        return self._delete_below(f"jobs/{job_id}/")

    def files_left(self, job_id: str) -> int:
        """Count a job's files and pending uploads; see `Storage`."""
        prefix = f"jobs/{job_id}/"
        return sum(1 for _ in self._bucket.list(prefix)) + sum(
            1 for _ in self._bucket.pending_uploads(prefix)
        )

    def job_folders(self, after: str = "") -> Iterator[JobFolder]:
        """Read the bucket's listing as the iterator advances; see `Storage`.

        A folder is as young as its youngest pending upload: its first file may have waited long
        for its last.
        """
        upload_ages: dict[str, float] = {}
        for upload in self._bucket.pending_uploads("jobs/"):
            folder = upload.key.rpartition("/")[0]
            age = upload.age_seconds
            upload_ages[folder] = min(age, upload_ages.get(folder, age))
        # "0" is the character after "/": all keys below `after` are skipped.
        found = self._bucket.list("jobs/", after=f"jobs/{after}0" if after else "")
        for job_id, files in groupby(found, key=lambda file: file.key.split("/")[1]):
            if not is_job_folder(job_id):
                continue
            ages: dict[str, float] = {}
            for file in files:
                folder = file.key.rpartition("/")[0]
                age = min(file.age_seconds, upload_ages.get(folder, file.age_seconds))
                ages[folder] = min(age, ages.get(folder, age))
            artifacts = f"jobs/{job_id}/artifacts/"
            yield JobFolder(
                job_id,
                min(ages.values()),
                tuple((key, age) for key, age in ages.items() if key.startswith(artifacts)),
            )

    def sweep(self, *, older_than_seconds: float) -> int:
        """Abort old pending uploads, and remove old files on this machine; see `Storage`."""
        removed = self._cache.trim()
        for kind in ("incoming", "work"):
            for path in entries(self.folder / kind):
                if idle_seconds(path) >= older_than_seconds:
                    shutil.rmtree(path, ignore_errors=True)
                    removed += 1
        for upload in self._bucket.pending_uploads(""):
            if upload.age_seconds >= older_than_seconds:
                self._bucket.abort(upload)
                removed += 1
        return removed

    def _ensure_free_space(self, bytes_needed: int = 0) -> None:
        """Check this machine's free space, emptying the cache first if there is too little."""
        try:
            self.check_free_space(bytes_needed)
        except StorageFullError:
            self._cache.trim(to_bytes=0)
            self.check_free_space(bytes_needed)

    def _delete_below(self, prefix: str, folders: Set[str] | None = None) -> Removed:
        """Delete the files whose keys have this prefix; if `folders` are given, only those."""

        def is_wanted(key: str) -> bool:
            return folders is None or key.rpartition("/")[0] in folders

        files = bytes_ = 0
        error: str | None = None
        try:
            for upload in self._bucket.pending_uploads(prefix):
                if is_wanted(upload.key):
                    self._bucket.abort(upload)
            found = [file for file in self._bucket.list(prefix) if is_wanted(file.key)]
            error = self._bucket.delete([file.key for file in found])
            remaining = {file.key for file in self._bucket.list(prefix)} if error else set()
            deleted = [file for file in found if file.key not in remaining]
            files, bytes_ = len(deleted), sum(file.bytes for file in deleted)
        except (StorageError, StorageFullError) as failure:
            error = str(failure)
        return Removed(files, bytes_, error)

    def _try_delete(self, keys: Sequence[str]) -> None:
        try:
            error = self._bucket.delete(keys)
        except (StorageError, StorageFullError) as failure:
            error = str(failure)
        if error is not None:
            _log.warning("a marker in the bucket is left to the sweep: %s", error)

    def _remove_abandoned(self, kind: str) -> None:
        """Remove the folders of killed processes of this machine.

        The sweep can't do this, since with a bucket each machine has its own disk, and the sweep
        only sees that of the machine that it runs on.
        """
        for folder in entries(self.folder / kind):
            if age_seconds(folder) < ABANDONED_SECONDS:
                continue
            with suppress(FileNotFoundError, NotADirectoryError):
                with (folder / LOCK).open("ab") as file:
                    if not try_lock(file):
                        continue
                    shutil.rmtree(folder, ignore_errors=True)
                if kind == "work":
                    self._try_delete([_marker_key(folder.name)])


def _marker_key(token: str) -> str:
    return f"work/{token}"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder. The kernel releases the lock when this process ends, even if it is killed."""
    with (folder / LOCK).open("ab") as file:
        try_lock(file)
        yield
