"""One bucket: the few questions that we ask of it, and its errors in our words.

boto3 signs, retries and uploads in parts. It is bounded in time: what does not answer is given
up after four tries, and the work that needs it waits.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import boto3
from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from s3transfer.exceptions import (
    RetriesExceededError,
    S3DownloadFailedError,
    S3UploadFailedError,
    S3ValidationError,
)

from faces_jobs.errors import (
    NotFoundError,
    StorageError,
    StorageFullError,
    StorageRefusedError,
)
from faces_jobs.settings import Settings
from faces_jobs.storage.disk import raising_storage_full
from faces_jobs.storage.progress import Progress, ignore_progress
from faces_jobs.storage.transfers import TransferWaiter

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

PART_BYTES = 16 * 1024**2
MOST_AT_ONCE = 1000  # keys in one deletion, by the protocol
DEFAULT_REGION = "us-east-1"
CONFIG: Mapping[str, Any] = {
    "connect_timeout": 5,
    "read_timeout": 30,
    "retries": {"mode": "standard", "total_max_attempts": 4},
    "max_pool_connections": 32,
    "tcp_keepalive": True,
    # The environment of who runs us is no setting of ours.
    "ignore_configured_endpoint_urls": True,
    # Checksums that are new in Amazon's protocol: other servers refuse requests that have them.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}
# What boto3's transfers raise of their own, which is of no tree: a body that broke off five times,
# a file that changed on the way.
TRANSFER_ERRORS = (
    RetriesExceededError,
    S3DownloadFailedError,
    S3UploadFailedError,
    S3ValidationError,
)
# Codes with which a server says that it is full; Amazon's own never is.
FULL_CODES = ("StorageFull", "QuotaExceeded", "InsufficientStorage", "EntityTooLarge")
# Statuses that another try may do away with: timeout, conflict, too early, too many.
PASSING = frozenset({408, 409, 425, 429})
KEY = "check FACES_JOBS_S3_ACCESS_KEY_ID, its secret, and what that key may do."
OTHER_REGION = "it is in another region: correct FACES_JOBS_S3_REGION."
REASONS: Mapping[str, str] = {
    "NoSuchBucket": "there is none: make it, or correct FACES_JOBS_STORAGE and "
    "FACES_JOBS_S3_ENDPOINT.",
    "PermanentRedirect": OTHER_REGION,
    "AuthorizationHeaderMalformed": OTHER_REGION,
    "301": OTHER_REGION,
}


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A file in the bucket."""

    key: str
    bytes: int
    modified: datetime

    @property
    def age_seconds(self) -> float:
        """Since it was written, by this machine's clock."""
        return (datetime.now(tz=UTC) - self.modified).total_seconds()


@dataclass(frozen=True, slots=True)
class PendingUpload:
    """An upload in parts that was begun and not ended."""

    key: str
    upload_id: str
    begun: datetime

    @property
    def age_seconds(self) -> float:
        """Since it began, by this machine's clock."""
        return (datetime.now(tz=UTC) - self.begun).total_seconds()


class Bucket:
    """Files below a prefix of a bucket; keys are told and taken without the prefix.

    Thread-safe. Connects when it is first asked.

    Every method may raise StorageError: the bucket does not answer, or (StorageRefusedError) the
    settings are wrong; and StorageFullError: its server is full.
    """

    def __init__(self, name: str, *, prefix: str = "", **client: Any) -> None:
        self.name = name
        self._prefix = prefix
        self._settings = client
        self._where = client.get("endpoint_url") or f"Amazon's {client.get('region_name')}"
        self._lock = threading.Lock()
        self._opened: S3Client | None = None

    @classmethod
    def of(cls, settings: Settings) -> Bucket:
        """The bucket that the settings name, which have to name one."""
        if settings.bucket is None:
            raise ValueError("these settings name no bucket")
        name, prefix = settings.bucket
        secret = settings.s3_secret_access_key
        style = settings.s3_addressing
        if style == "auto":
            style = "path" if settings.s3_endpoint else "virtual"
        return cls(
            name,
            prefix=prefix,
            endpoint_url=settings.s3_endpoint or None,
            region_name=settings.s3_region or DEFAULT_REGION,
            aws_access_key_id=settings.s3_access_key_id or None,
            aws_secret_access_key=None if secret is None else secret.get_secret_value(),
            config=Config(s3={"addressing_style": style}, **CONFIG),
        )

    def put(
        self, files: Sequence[tuple[Path, str]], *, on_progress: Progress = ignore_progress
    ) -> None:
        """Upload files to keys, several at once and large ones in parts, in bounded memory.

        Each is there whole or not at all. Where one fails, of large ones nothing half-made stays.
        """
        waiter = TransferWaiter()
        with self._told(), create_transfer_manager(self._client(), _transfer()) as manager:
            uploads = [
                manager.upload(str(path), self.name, self._prefix + key, subscribers=[waiter])
                for path, key in files
            ]
            waiter.wait_for(uploads, on_progress)

    def put_mark(self, key: str) -> None:
        """Make an empty file."""
        with self._told():
            self._client().put_object(Bucket=self.name, Key=self._prefix + key, Body=b"")

    def get(
        self,
        files: Sequence[tuple[str, str | BinaryIO]],
        *,
        on_progress: Progress = ignore_progress,
    ) -> None:
        """Download keys to paths or to open files, several at once, in bounded memory.

        Raises:
            NotFoundError: one is not there.
            StorageFullError: the local disk is full.
        """
        waiter = TransferWaiter()
        with (
            raising_storage_full(),
            self._told(),
            create_transfer_manager(self._client(), _transfer()) as manager,
        ):
            downloads = [
                manager.download(self.name, self._prefix + key, target, subscribers=[waiter])
                for key, target in files
            ]
            waiter.wait_for(downloads, on_progress)

    def read(self, key: str, start: int, end: int) -> Any:
        """A stream of the bytes from `start` up to, not including, `end`. Whoever asks closes it.

        Raises:
            NotFoundError: there is no such file.
        """
        with self._told():
            return self._client().get_object(
                Bucket=self.name, Key=self._prefix + key, Range=f"bytes={start}-{end - 1}"
            )["Body"]

    def find(self, key: str) -> StoredObject:
        """What is known about a file.

        Raises:
            NotFoundError: there is no such file.
        """
        with self._told():
            head = self._client().head_object(Bucket=self.name, Key=self._prefix + key)
            return StoredObject(key, head["ContentLength"], head["LastModified"])

    def list(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        """Files whose keys begin so, in the order of their keys, from the first behind `after`."""
        asked = (
            self._client()
            .get_paginator("list_objects_v2")
            .paginate(
                Bucket=self.name,
                Prefix=self._prefix + prefix,
                StartAfter=self._prefix + after if after else "",
            )
        )
        for page in self._pages(asked):
            for one in page.get("Contents", ()):
                yield StoredObject(self._inner(one["Key"]), one["Size"], one["LastModified"])

    def pending_uploads(self, prefix: str) -> Iterator[PendingUpload]:
        """Uploads in parts that were begun and not ended, of keys that begin so."""
        asked = (
            self._client()
            .get_paginator("list_multipart_uploads")
            .paginate(Bucket=self.name, Prefix=self._prefix + prefix)
        )
        for page in self._pages(asked):
            for one in page.get("Uploads", ()):
                yield PendingUpload(self._inner(one["Key"]), one["UploadId"], one["Initiated"])

    def abort(self, upload: PendingUpload) -> None:
        """Remove the parts of an upload. One that is gone is well."""
        try:
            with self._told():
                self._client().abort_multipart_upload(
                    Bucket=self.name, Key=self._prefix + upload.key, UploadId=upload.upload_id
                )
        except NotFoundError:
            return

    def delete(self, keys: Iterable[str]) -> str | None:
        """Delete files; those that are gone are well. Tells what the bucket said of one it kept."""
        error = None
        rest = list(keys)
        while rest:
            some, rest = rest[:MOST_AT_ONCE], rest[MOST_AT_ONCE:]
            with self._told():
                answer = self._client().delete_objects(
                    Bucket=self.name,
                    Delete={
                        "Objects": [{"Key": self._prefix + key} for key in some],
                        "Quiet": True,
                    },
                )
            for kept in answer.get("Errors", ()):
                error = f"{kept.get('Code')}: {kept.get('Message')}"
        return error

    def _client(self) -> S3Client:
        with self._lock:
            if self._opened is None:
                with self._told():
                    self._opened = boto3.session.Session().client("s3", **self._settings)
            return self._opened

    def _pages(self, asked: Iterable[Any]) -> Iterator[Any]:
        pages = iter(asked)
        while True:
            with self._told():
                page = next(pages, None)
            if page is None:
                return
            yield page

    def _inner(self, key: str) -> str:
        return key.removeprefix(self._prefix)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the library's errors into ours."""
        try:
            yield
        except ClientError as error:
            raise self._translated(error) from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise StorageRefusedError(
                f"There is no key to the bucket {self.name}: set FACES_JOBS_S3_ACCESS_KEY_ID and "
                "FACES_JOBS_S3_SECRET_ACCESS_KEY."
            ) from error
        except BotoCoreError as error:
            raise StorageError(
                f"The bucket {self.name} at {self._where} does not answer: {error}."
            ) from error
        except TRANSFER_ERRORS as error:
            raise StorageError(
                f"The bucket {self.name} at {self._where} broke off a transfer: {error}."
            ) from error

    def _translated(self, error: ClientError) -> Exception:
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        bucket = f"The bucket {self.name} at {self._where}"
        said = f"{code or status} in {error.operation_name}"
        if code in {"NoSuchKey", "NoSuchUpload"}:
            return NotFoundError("There is no such file.")
        if code == "404":
            # The answer to a HEAD has no body that could say what is not there.
            return self._missing()
        if status == 507 or any(part in code for part in FULL_CODES):
            return StorageFullError(f"{bucket} is full ({said}).")
        if not 300 <= status < 500 or status in PASSING:
            return StorageError(f"{bucket} has trouble ({said}).")
        return StorageRefusedError(f"{bucket} can't be used ({said}): {REASONS.get(code, KEY)}")

    def _missing(self) -> Exception:
        try:
            with self._told():
                self._client().list_objects_v2(Bucket=self.name, MaxKeys=1)
        except (StorageError, StorageFullError) as error:
            return error
        return NotFoundError("There is no such file.")


def _transfer() -> TransferConfig:
    return TransferConfig(
        multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=4
    )
