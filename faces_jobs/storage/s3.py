"""A client for one bucket: the few operations that are needed, and the translation of errors.

boto3 signs requests, retries them, and uploads in parts. Timeouts are bounded: a request is given
up after four attempts without a response, and the work that needs it is retried later.
"""

from __future__ import annotations

import base64
import hashlib
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
# Small files mostly wait for the server's answer. Uploads are streamed from disk, so that many at a
# time take little memory; of downloads, what is not written yet is held in memory.
UPLOADS_AT_ONCE = 16
DOWNLOADS_AT_ONCE = 4
MAX_KEYS_PER_DELETE = 1000  # a limit of the protocol
DEFAULT_REGION = "us-east-1"
CONFIG: Mapping[str, Any] = {
    "connect_timeout": 5,
    "read_timeout": 30,
    "retries": {"mode": "standard", "total_max_attempts": 4},
    "max_pool_connections": 8 * UPLOADS_AT_ONCE,  # else those of other threads are not reused
    "tcp_keepalive": True,
    # The endpoint comes from our settings, never from AWS_ENDPOINT_URL.
    "ignore_configured_endpoint_urls": True,
    # Newer checksums of Amazon's protocol: other servers refuse requests that have them.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}
# What boto3's transfers raise beside ClientError and BotoCoreError, without a common base class: a
# body that was interrupted five times, a file that changed during the transfer.
TRANSFER_ERRORS = (
    RetriesExceededError,
    S3DownloadFailedError,
    S3UploadFailedError,
    S3ValidationError,
)
# Codes of a server that is full, also as a part of a longer code (Amazon's own is never full).
FULL_CODES = ("StorageFull", "QuotaExceeded", "InsufficientStorage", "EntityTooLarge")
INSUFFICIENT_STORAGE = 507
# Transient client errors: request timeout, conflict, too early, too many requests.
TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
ACCESS_HINT = (
    "check FACES_JOBS_S3_ACCESS_KEY_ID, FACES_JOBS_S3_SECRET_ACCESS_KEY and the key's permissions."
)
REGION_HINT = "it is in another region: correct FACES_JOBS_S3_REGION."
HINTS: Mapping[str, str] = {
    "NoSuchBucket": "it does not exist: create it, or correct FACES_JOBS_STORAGE and "
    "FACES_JOBS_S3_ENDPOINT.",
    "PermanentRedirect": REGION_HINT,
    "AuthorizationHeaderMalformed": REGION_HINT,
    "301": REGION_HINT,
    # S3 servers name what is missing, so this one is none.
    "404": "no S3 server answers there: correct FACES_JOBS_S3_ENDPOINT.",
}


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A file in the bucket."""

    key: str
    bytes: int
    modified: datetime

    @property
    def age_seconds(self) -> float:
        """Seconds since it was written, by this machine's clock."""
        return (datetime.now(tz=UTC) - self.modified).total_seconds()


@dataclass(frozen=True, slots=True)
class PendingUpload:
    """A multipart upload that was neither completed nor aborted."""

    key: str
    upload_id: str
    started: datetime

    @property
    def age_seconds(self) -> float:
        """Seconds since it was started, by this machine's clock."""
        return (datetime.now(tz=UTC) - self.started).total_seconds()


class Bucket:
    """The files below a prefix of a bucket. Keys are passed and returned without the prefix.

    Thread-safe. Connects on the first request.

    Every method may raise StorageError (the bucket does not answer), its subclass
    StorageRefusedError (the settings are wrong) and StorageFullError (the server is full).
    """

    def __init__(self, name: str, *, prefix: str = "", **options: Any) -> None:
        self.name = name
        self._prefix = prefix
        self._options = options
        self._location = options.get("endpoint_url") or f"Amazon's {options.get('region_name')}"
        self._lock = threading.Lock()
        self._connected: S3Client | None = None

    @classmethod
    def of(cls, settings: Settings) -> Bucket:
        """The bucket that the settings name.

        Raises:
            ValueError: the settings name no bucket.
        """
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
        """Upload files to keys in parallel, large ones in parts, in bounded memory.

        Each appears completely or not at all. If an upload in parts fails, its parts are removed.
        """
        waiter = TransferWaiter()
        with (
            self._errors_translated(),
            create_transfer_manager(self._client(), _transfer_config(UPLOADS_AT_ONCE)) as manager,
        ):
            uploads = [
                manager.upload(str(path), self.name, self._prefix + key, subscribers=[waiter])
                for path, key in files
            ]
            waiter.wait_for(uploads, on_progress)

    def put_marker(self, key: str) -> None:
        """Create an empty file."""
        with self._errors_translated():
            self._client().put_object(Bucket=self.name, Key=self._prefix + key, Body=b"")

    def get(
        self,
        files: Sequence[tuple[str, str | BinaryIO]],
        *,
        on_progress: Progress = ignore_progress,
    ) -> None:
        """Download keys to paths or open files, in parallel and in bounded memory.

        Raises:
            NotFoundError: a file does not exist.
            StorageFullError: the local disk is full.
        """
        waiter = TransferWaiter()
        with (
            raising_storage_full(),
            self._errors_translated(),
            create_transfer_manager(self._client(), _transfer_config(DOWNLOADS_AT_ONCE)) as manager,
        ):
            downloads = [
                manager.download(self.name, self._prefix + key, target, subscribers=[waiter])
                for key, target in files
            ]
            waiter.wait_for(downloads, on_progress)

    def read(self, key: str, start: int, end: int) -> Any:
        """A stream of the bytes from `start` up to, not including, `end`. The caller closes it.

        Raises:
            NotFoundError: the file does not exist.
        """
        with self._errors_translated():
            return self._client().get_object(
                Bucket=self.name, Key=self._prefix + key, Range=f"bytes={start}-{end - 1}"
            )["Body"]

    def find(self, key: str) -> StoredObject:
        """Size and time of a file.

        Raises:
            NotFoundError: the file does not exist.
        """
        with self._errors_translated():
            head = self._client().head_object(Bucket=self.name, Key=self._prefix + key)
            return StoredObject(key, head["ContentLength"], head["LastModified"])

    def list(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        """Files with this key prefix, ordered by key, starting after the key `after`."""
        pages = (
            self._client()
            .get_paginator("list_objects_v2")
            .paginate(
                Bucket=self.name,
                Prefix=self._prefix + prefix,
                StartAfter=self._prefix + after if after else "",
            )
        )
        for page in self._translated_pages(pages):
            for found in page.get("Contents", ()):
                key = found["Key"].removeprefix(self._prefix)
                yield StoredObject(key, found["Size"], found["LastModified"])

    def pending_uploads(self, prefix: str) -> Iterator[PendingUpload]:
        """Pending multipart uploads with this key prefix."""
        pages = (
            self._client()
            .get_paginator("list_multipart_uploads")
            .paginate(Bucket=self.name, Prefix=self._prefix + prefix)
        )
        for page in self._translated_pages(pages):
            for found in page.get("Uploads", ()):
                key = found["Key"].removeprefix(self._prefix)
                yield PendingUpload(key, found["UploadId"], found["Initiated"])

    def abort(self, upload: PendingUpload) -> None:
        """Remove the parts of an upload. Does nothing if it does not exist any more."""
        try:
            with self._errors_translated():
                self._client().abort_multipart_upload(
                    Bucket=self.name, Key=self._prefix + upload.key, UploadId=upload.upload_id
                )
        except NotFoundError:
            return

    def delete(self, keys: Iterable[str]) -> str | None:
        """Delete files, ignoring those that do not exist.

        Returns the bucket's error for one that it did not delete; None if all are deleted.
        """
        error = None
        rest = list(keys)
        while rest:
            batch, rest = rest[:MAX_KEYS_PER_DELETE], rest[MAX_KEYS_PER_DELETE:]
            with self._errors_translated():
                response = self._client().delete_objects(
                    Bucket=self.name,
                    Delete={
                        "Objects": [{"Key": self._prefix + key} for key in batch],
                        "Quiet": True,
                    },
                )
            for failure in response.get("Errors", ()):
                error = f"{failure.get('Code')}: {failure.get('Message')}"
        return error

    def _client(self) -> S3Client:
        with self._lock:
            if self._connected is None:
                with self._errors_translated():
                    client = boto3.session.Session().client("s3", **self._options)
                client.meta.events.register("before-call.s3.DeleteObjects", _add_md5)
                self._connected = client
            return self._connected

    def _translated_pages(self, pages: Iterable[Any]) -> Iterator[Any]:
        """The pages of a listing, with errors translated, but not those of the caller's loop."""
        iterator = iter(pages)
        while True:
            with self._errors_translated():
                page = next(iterator, None)
            if page is None:
                return
            yield page

    @contextmanager
    def _errors_translated(self) -> Iterator[None]:
        """Convert the errors of boto3 to ours."""
        try:
            yield
        except ClientError as error:
            raise self._translate(error) from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise StorageRefusedError(
                f"No credentials for the bucket {self.name}: set FACES_JOBS_S3_ACCESS_KEY_ID and "
                "FACES_JOBS_S3_SECRET_ACCESS_KEY."
            ) from error
        except BotoCoreError as error:
            raise StorageError(
                f"The bucket {self.name} at {self._location} does not answer: {error}."
            ) from error
        except TRANSFER_ERRORS as error:
            raise StorageError(
                f"The transfer with the bucket {self.name} at {self._location} was interrupted: "
                f"{error}."
            ) from error

    def _translate(self, error: ClientError) -> Exception:
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        bucket = f"The bucket {self.name} at {self._location}"
        details = f"{code or status} in {error.operation_name}"
        if code in {"NoSuchKey", "NoSuchUpload"}:
            return NotFoundError("This file does not exist.")
        if code == "404" and error.operation_name.startswith("Head"):
            # The response to a HEAD request has no body, so the code does not tell what is missing.
            return self._missing_file_or_bucket()
        if status == INSUFFICIENT_STORAGE or any(part in code for part in FULL_CODES):
            return StorageFullError(f"{bucket} is full ({details}).")
        if not 300 <= status < 500 or status in TRANSIENT_STATUSES:
            return StorageError(f"{bucket} is not available now ({details}).")
        hint = HINTS.get(code, ACCESS_HINT)
        return StorageRefusedError(f"{bucket} can't be used ({details}): {hint}")

    def _missing_file_or_bucket(self) -> Exception:
        try:
            with self._errors_translated():
                self._client().list_objects_v2(Bucket=self.name, MaxKeys=1)
        except (StorageError, StorageFullError) as error:
            return error
        return NotFoundError("This file does not exist.")


def _add_md5(params: dict[str, Any], **_: Any) -> None:
    """Add the checksum that the protocol demanded for this request until 2025.

    boto3 sends a newer one only, and many servers still refuse requests without this one.
    """
    digest = hashlib.md5(params["body"], usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = base64.b64encode(digest).decode()


def _transfer_config(at_once: int) -> TransferConfig:
    return TransferConfig(
        multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=at_once
    )
