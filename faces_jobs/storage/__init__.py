"""Where files are kept: a folder that all machines share, or a bucket.

`interface` says what is promised, `local` keeps the promise in a folder, `bucket` in a bucket.
"""

from __future__ import annotations

from faces_jobs.errors import SettingsError
from faces_jobs.settings import Settings
from faces_jobs.storage.disk import raising_storage_full, sha256_of
from faces_jobs.storage.interface import (
    Incoming,
    IncomingFile,
    JobFolder,
    OpenFile,
    Removed,
    Storage,
    StoredFile,
)
from faces_jobs.storage.local import LocalStorage

__all__ = [
    "Incoming",
    "IncomingFile",
    "JobFolder",
    "LocalStorage",
    "OpenFile",
    "Removed",
    "Storage",
    "StoredFile",
    "open_storage",
    "raising_storage_full",
    "sha256_of",
]


def open_storage(settings: Settings) -> Storage:
    """The storage that web and workers share. Nothing is asked of a bucket yet.

    Raises:
        SettingsError: a bucket is named, and what talks to it is not installed.
    """
    folder = settings.data_folder / "files"
    if settings.bucket is None:
        return LocalStorage(folder, min_free_bytes=settings.min_free_bytes)
    try:
        from faces_jobs.storage.bucket import BucketStorage  # noqa: PLC0415 (an extra: `s3`)
        from faces_jobs.storage.s3 import Bucket  # noqa: PLC0415 (likewise)
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"FACES_JOBS_STORAGE names a bucket, and {error.name} is not installed: "
            "install faces-jobs with its extra s3."
        ) from error
    return BucketStorage(
        folder,
        Bucket.of(settings),
        cache_bytes=settings.cache_bytes,
        min_free_bytes=settings.min_free_bytes,
    )
