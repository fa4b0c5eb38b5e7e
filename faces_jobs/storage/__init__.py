"""Storage of uploads and artifacts: a folder that all machines share, or an S3-compatible bucket.

`interface` defines it; `local` implements it for a folder, `bucket` for a bucket.
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
    """The storage that web and workers share. A bucket is not connected to yet.

    Raises:
        SettingsError: the settings name a bucket, and the extra `s3` is not installed.
    """
    folder = settings.data_folder / "files"
    if settings.bucket is None:
        return LocalStorage(folder, min_free_bytes=settings.min_free_bytes)
    try:
        from faces_jobs.storage.bucket import BucketStorage  # noqa: PLC0415 (an extra: `s3`)
        from faces_jobs.storage.s3 import Bucket  # noqa: PLC0415 (likewise)
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"FACES_JOBS_STORAGE names a bucket, but {error.name} is not installed: "
            "install faces-jobs with its extra s3."
        ) from error
    return BucketStorage(
        folder,
        Bucket.of(settings),
        cache_bytes=settings.cache_bytes,
        min_free_bytes=settings.min_free_bytes,
    )
