"""Turns a submission into a job: stores its files, and its rows in one transaction."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from faces_jobs.db.jobs.changes import NewItem, store_job
from faces_jobs.db.jobs.limits import check_added
from faces_jobs.db.reconcile_queries import existing_jobs
from faces_jobs.db.session import Database
from faces_jobs.errors import DatabaseError, FolderError, SubmissionError, UploadTooLargeError
from faces_jobs.folders import root_folder, walk_beneath
from faces_jobs.jobs.names import checked_owner, normalise_name
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.outbound import check_webhook
from faces_jobs.queue.producer import Queue
from faces_jobs.settings import Settings
from faces_jobs.storage import IncomingFile, Storage
from faces_jobs.submit.items import (
    check_any_usable,
    estimate_result_bytes,
    folder_item,
    load_of,
    uploaded_item,
)
from faces_jobs.submit.keys import (
    SubmissionKey,
    UsedKeyError,
    checked_key,
    earlier_job,
    store_key,
)
from faces_jobs.submit.ringing import ring, segments_to_ring

_log = logging.getLogger(__name__)


class UncertainCommitError(DatabaseError):
    """The connection was lost during a commit, so that its outcome is unknown.

    Callers outside this package handle it as a DatabaseError.
    """


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job of a submission; `replayed` if an earlier submission with the same key made it."""

    job_id: str
    replayed: bool


def submit_files(
    files: Sequence[IncomingFile],
    spec: JobSpec,
    *,
    database: Database,
    storage: Storage,
    queue: Queue,
    settings: Settings,
    idempotency_key: str | None = None,
    owner: str = "",
) -> Submitted:
    """Make a job of files that were streamed into the storage's incoming folder.

    Files that can't be processed become failed items if at least one other file is usable.

    Raises:
        SubmissionError: there is no file, or no usable one; nothing was stored.
        UploadTooLargeError: there are too many files; nothing was stored.
        OptionsError: the idempotency key, the owner or the webhook is invalid.
        MediaError: the only file can't be processed; nothing was stored.
        IdempotencyConflictError: the key was used for another submission.
        QueueFullError, StorageFullError, DatabaseError: nothing was stored; the same submission
            may succeed later.
    """
    if not files:
        raise SubmissionError("No file was sent: choose at least one image or video.")
    _check_count(len(files), settings)
    names = [normalise_name(file.name) for file in files]
    contents = [[name, file.sha256] for name, file in zip(names, files, strict=True)]
    owner = checked_owner(owner)
    key = checked_key(idempotency_key, spec, owner, {"files": contents})
    earlier = earlier_job(database, key)
    if earlier is not None:
        return Submitted(earlier, replayed=True)
    check_webhook(spec.webhook, settings)
    job_id = str(uuid.uuid4())
    items = [
        uploaded_item(name, file, storage.upload_key(job_id, position))
        for position, (name, file) in enumerate(zip(names, files, strict=True))
    ]
    check_any_usable(items)
    storage.check_space_for_results(estimate_result_bytes(items, spec))
    try:
        # Before the transaction, so that it doesn't hold locks while files are sent to a bucket.
        # If the process crashes in between, the files have no rows, and the sweep deletes them.
        storage.store_uploads(
            [
                (file, item.source)
                for item, file in zip(items, files, strict=True)
                if item.source is not None
            ]
        )
        job = _Job(
            job_id, _with_retention_period(spec, settings), items, root=None, owner=owner, key=key
        )
        segments = _store(job, database, settings)
    except UsedKeyError:
        storage.delete_job(job_id)
        return _replayed(database, key)
    except UncertainCommitError:
        raise  # rows may refer to the files; if there are none, the sweep deletes the files
    except BaseException:
        storage.delete_job(job_id)
        raise
    ring(database, queue, job_id, segments_to_ring(items, segments))
    return Submitted(job_id, replayed=False)


def submit_folder(
    root: str,
    relative_path: str,
    spec: JobSpec,
    *,
    database: Database,
    storage: Storage,
    queue: Queue,
    settings: Settings,
    idempotency_key: str | None = None,
    owner: str = "",
) -> Submitted:
    """Make a job of the files in a folder of the server, which are read from there.

    Raises:
        FolderError: there is no such root, or the path leaves it, is no folder or has no file.
        SubmissionError: there is no usable file; nothing was stored.
        UploadTooLargeError: there are too many files; nothing was stored.
        OptionsError: the idempotency key, the owner or the webhook is invalid.
        MediaError: the only file can't be processed; nothing was stored.
        IdempotencyConflictError: the key was used for another submission.
        QueueFullError, StorageFullError, DatabaseError: nothing was stored; the same submission
            may succeed later.
    """
    owner = checked_owner(owner)
    key = checked_key(idempotency_key, spec, owner, {"root": root, "path": relative_path})
    earlier = earlier_job(database, key)
    if earlier is not None:
        return Submitted(earlier, replayed=True)
    check_webhook(spec.webhook, settings)
    folder = root_folder(settings.roots, root)
    storage.check_free_space()
    items: list[NewItem] = []
    prefix = "/".join(part for part in relative_path.split("/") if part not in ("", "."))
    for found in walk_beneath(folder, relative_path):
        _check_count(len(items) + 1, settings)
        inner = found.relative_path.removeprefix(prefix).lstrip("/")
        items.append(folder_item(found, name=inner or found.relative_path, folder=folder))
    if not items:
        raise FolderError("That folder has no files.")
    check_any_usable(items)
    storage.check_space_for_results(estimate_result_bytes(items, spec))
    job_id = str(uuid.uuid4())
    job = _Job(
        job_id, _with_retention_period(spec, settings), items, root=root, owner=owner, key=key
    )
    try:
        segments = _store(job, database, settings)
    except UsedKeyError:
        return _replayed(database, key)
    ring(database, queue, job_id, segments_to_ring(items, segments))
    return Submitted(job_id, replayed=False)


@dataclass(frozen=True, slots=True)
class _Job:
    """A job to be stored in one transaction."""

    job_id: str
    spec: JobSpec
    items: Sequence[NewItem]
    root: str | None
    owner: str
    key: SubmissionKey | None


def _store(job: _Job, database: Database, settings: Settings) -> list[int]:
    """Insert all rows or none. Returns the segments' ids, in the order of the usable items.

    Raises:
        UsedKeyError: the same submission was committed first.
        UncertainCommitError: the commit's outcome is unknown.
        QueueFullError, StorageFullError, DatabaseError: see `submit_files`.
    """
    segments: list[int] = []
    is_written = False
    try:
        with database.begin() as session:
            check_added(session, settings, job.owner, load_of(job.items))
            segments = store_job(
                session, job.job_id, job.spec, job.items, root=job.root, owner=job.owner
            )
            store_key(session, job.key, job.job_id)
            is_written = True
    except DatabaseError as error:
        if not is_written:
            raise
        if not _is_stored(database, job.job_id):
            raise UncertainCommitError(
                "The connection to the database was lost while the job was stored: send it again, "
                "with the same Idempotency-Key if it had one."
            ) from error
        _log.warning("job %s is stored, although its commit reported an error", job.job_id)
    return segments


def _is_stored(database: Database, job_id: str) -> bool:
    """Return whether a job was committed; False also if the database does not answer."""
    try:
        return bool(existing_jobs(database, [job_id]))
    except DatabaseError:
        return False


def _with_retention_period(spec: JobSpec, settings: Settings) -> JobSpec:
    """Return the options with the default retention period, which is fixed at submission."""
    if spec.keep_days is not None or settings.keep_days is None:
        return spec
    return spec.model_copy(update={"keep_days": settings.keep_days})


def _check_count(count: int, settings: Settings) -> None:
    if count > settings.max_files:
        raise UploadTooLargeError(
            f"This server accepts at most {settings.max_files} files at once: submit them in parts."
        )


def _replayed(database: Database, key: SubmissionKey | None) -> Submitted:
    """Return the job of the same submission, which was committed first."""
    earlier = earlier_job(database, key)
    if earlier is None:  # that job was deleted at this very moment
        raise DatabaseError("The job of the same submission was just deleted: send it again.")
    return Submitted(earlier, replayed=True)
