"""Storage in a folder, which all machines share if there are several.

    jobs/       stored files, by their keys
    trash/      folders that are being removed

It is on the same file system as `incoming` and `work`, so that a rename publishes or removes a
whole folder atomically.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from faces_jobs.errors import NotFoundError
from faces_jobs.storage.disk import (
    age_seconds,
    entries,
    idle_seconds,
    paths_below,
    raising_storage_full,
    sync_all,
    sync_and_hash_all,
    sync_entries,
    tree_size,
)
from faces_jobs.storage.interface import (
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


class LocalStorage(Storage):
    """Stores files below one folder."""

    def check_space_for_results(self, bytes_needed: int) -> None:
        """Check this machine's free space; see `Storage`."""
        self.check_free_space(bytes_needed)

    def path_of(self, key: str) -> Path:
        """The path of a key's file, whether it exists or not.

        Raises:
            NotFoundError: the key is not valid.
        """
        return self.folder / checked_key(key)

    def store_uploads(self, files: Sequence[tuple[IncomingFile, str]]) -> None:
        """Move received files; see `Storage`."""
        moves = [(file.path, self.path_of(key)) for file, key in files]
        folders = {path.parent for _, path in moves}
        with raising_storage_full():
            sync_all([received for received, _ in moves])
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
            for received, path in moves:
                received.rename(path)
            for folder in folders:
                sync_entries(folder, top=self.folder)

    def publish(
        self,
        folder: Path,
        *,
        job_id: str,
        owner: str,
        token: str,
        on_progress: Progress = ignore_progress,  # noqa: ARG002 (a rename takes no time)
    ) -> dict[str, StoredFile]:
        """Move a workspace's folder by one rename; see `Storage`."""
        folder_key = self.attempt_key(job_id=job_id, owner=owner, token=token)
        with raising_storage_full():
            stored = {
                name: StoredFile(f"{folder_key}/{name}", bytes_, sha256)
                for name, (bytes_, sha256) in sync_and_hash_all(folder).items()
            }
            target = self.path_of(folder_key)
            target.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(target)
            sync_entries(target, top=self.folder)
        return stored

    def unpublish(self, *, job_id: str, owner: str, token: str) -> None:
        """Remove an attempt's folder, and its job's if that is empty then; see `Storage`."""
        folder = self.path_of(self.attempt_key(job_id=job_id, owner=owner, token=token))
        self._remove(folder)
        for parent in (folder.parent, folder.parent.parent):
            try:
                parent.rmdir()
            except OSError:  # not empty, or missing: both are fine
                return

    def remove_attempts(self, keys: Collection[str]) -> None:
        """Remove the attempts' folders; see `Storage`."""
        for key in keys:
            self._remove(self.path_of(key))

    @contextmanager
    def fetch(self, key: str, *, on_progress: Progress = ignore_progress) -> Iterator[Path]:  # noqa: ARG002 (no copies)
        """The file itself; see `Storage`."""
        yield self._existing_path(key)

    def fetch_all(
        self,
        keys: Sequence[str],
        folder: Path,  # noqa: ARG002 (no copies)
        *,
        on_progress: Progress = ignore_progress,  # noqa: ARG002 (likewise)
    ) -> list[Path]:
        """The files themselves; see `Storage`."""
        return [self._existing_path(key) for key in keys]

    def open_file(self, key: str) -> OpenFile:
        """Open the file; see `Storage`."""
        path = self._existing_path(key)
        try:
            file = path.open("rb")
        except FileNotFoundError as error:
            raise NotFoundError("This file was just deleted with its job.") from error
        stat = os.fstat(file.fileno())
        return OpenFile(file, stat.st_size, datetime.fromtimestamp(stat.st_mtime, tz=UTC))

    def existing(self, keys: Collection[str]) -> set[str]:
        """Check each file; see `Storage`."""
        return {key for key in keys if self._exists(key)}

    def delete_job(self, job_id: str) -> Removed:
        """Remove every file of a job; see `Storage`."""
        folder = self._job_folder(job_id)
        files, bytes_ = self._size_of(job_id)
        errors: list[str] = []
        # Moved away first, then removed, so that a partly deleted job is never visible.
        trash = self.folder / "trash" / f"{job_id}.{uuid.uuid4().hex}"
        try:
            trash.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(trash)
        except FileNotFoundError:
            pass
        except OSError as error:
            errors.append(f"{error.strerror}")
        for path in self._trash_of(job_id):
            shutil.rmtree(path, onerror=lambda _call, _path, info: errors.append(str(info[1])))
        left_files, left_bytes = self._size_of(job_id)
        return Removed(
            max(0, files - left_files), max(0, bytes_ - left_bytes), errors[0] if errors else None
        )

    def files_left(self, job_id: str) -> int:
        """Count a job's files and folders, including those in the trash; see `Storage`."""
        folders = [path for path in (self._job_folder(job_id),) if path.exists()]
        folders += self._trash_of(job_id)
        return sum(1 + sum(1 for _ in paths_below(folder)) for folder in folders)

    def job_folders(self, after: str = "") -> Iterator[JobFolder]:
        """Yield the folders, reading each one only when it is reached; see `Storage`."""
        for path in entries(self.folder / "jobs"):
            if path.name > after and is_job_folder(path.name):
                folder_key = f"jobs/{path.name}/artifacts"
                attempts = tuple(
                    (f"{folder_key}/{attempt.name}", age_seconds(attempt))
                    for attempt in entries(self.folder / folder_key)
                )
                yield JobFolder(path.name, age_seconds(path), attempts)

    def sweep(self, *, older_than_seconds: float) -> int:
        """Remove old folders of uploads, workspaces and trash; see `Storage`.

        A folder in which any file was changed since then is kept.
        """
        removed = 0
        for kind in ("incoming", "work", "trash"):
            for path in entries(self.folder / kind):
                if idle_seconds(path) >= older_than_seconds:
                    shutil.rmtree(path, ignore_errors=True)
                    removed += 1
        return removed

    def _exists(self, key: str) -> bool:
        try:
            return self.path_of(key).is_file()
        except NotFoundError:
            return False

    def _existing_path(self, key: str) -> Path:
        path = self.path_of(key)
        if not path.is_file():
            raise NotFoundError("This file does not exist.")
        return path

    def _job_folder(self, job_id: str) -> Path:
        return self.path_of(f"jobs/{job_id}/uploads").parent

    def _trash_of(self, job_id: str) -> list[Path]:
        return sorted((self.folder / "trash").glob(f"{job_id}.*"))

    def _size_of(self, job_id: str) -> tuple[int, int]:
        sizes = [tree_size(path) for path in (self._job_folder(job_id), *self._trash_of(job_id))]
        return sum(files for files, _ in sizes), sum(bytes_ for _, bytes_ in sizes)

    def _remove(self, folder: Path) -> None:
        # Moved away first, then removed, so that a partly removed folder is never visible.
        trash = self.folder / "trash" / uuid.uuid4().hex
        trash.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(trash)
        except FileNotFoundError:
            return
        shutil.rmtree(trash, ignore_errors=True)
