"""A submission becomes a job: stored files, rows in one transaction, then a ring of the bell.

Once the transaction is committed the job will run: where the broker does not answer, the sweep
rings later. Before, nothing is left of it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import unicodedata
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from faces_jobs import media
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.jobs import NewItem, store_job
from faces_jobs.db.limits import Load, check_added
from faces_jobs.db.session import Database
from faces_jobs.db.tables import IdempotencyRow, SegmentRow
from faces_jobs.errors import (
    DatabaseError,
    FolderError,
    IdempotencyConflictError,
    MediaError,
    OptionsError,
    QueueError,
    StorageFullError,
    SubmissionError,
    UploadTooLargeError,
)
from faces_jobs.folders import FoundFile, open_beneath, root_folder, walk_beneath
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.outbound import check_webhook
from faces_jobs.queue import Queue
from faces_jobs.settings import Settings
from faces_jobs.storage import IncomingFile, Storage

__all__ = ["IncomingFile", "Submitted", "submit_files", "submit_folder"]

MAX_NAME_CHARACTERS = 1024
MAX_KEY_CHARACTERS = 255
MAX_OWNER_CHARACTERS = 128
UNNAMED = "unnamed"
# Of one submission's images: enough to wake all workers of a machine. Who answers one rings for
# the next; what else there may be the sweep tells.
MOST_IMAGE_BELLS = 16
_LINE_ENDS = frozenset({"Zl", "Zp"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job that a submission became, or the one that it had become before (`replayed`)."""

    job_id: str
    replayed: bool


@dataclass(frozen=True, slots=True)
class _Key:
    key: str
    request_sha256: str


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

    Files that are no media become items that failed, as long as one other file is well.

    Raises:
        SubmissionError: no file, no usable file, or too many; nothing was stored.
        MediaError: the only file is none that can be read; nothing was stored.
        IdempotencyConflictError: the key was used for another submission.
        QueueFullError, StorageFullError, DatabaseError: nothing was stored; the same may work
            later.
    """
    if not files:
        raise SubmissionError("No file was sent: choose at least one image or video.")
    _check_count(len(files), settings)
    names = [normal_name(file.name) for file in files]
    contents = [[name, file.sha256] for name, file in zip(names, files, strict=True)]
    owner = checked_owner(owner)
    key = _key(idempotency_key, spec, owner, {"files": contents})
    earlier = _earlier(database, key)
    if earlier is not None:
        return earlier
    check_webhook(spec.webhook, settings)
    job_id = str(uuid.uuid4())
    items = [
        _uploaded_item(name, file, storage.upload_key(job_id, position))
        for position, (name, file) in enumerate(zip(names, files, strict=True))
    ]
    _check_any_usable(items)
    storage.check_results_room(_room_for_results(items, spec))
    try:
        # Before the transaction, which nobody should have to wait for while files are on their
        # way to a bucket. What a crash leaves of them has no rows, and the sweep removes it.
        for item, file in zip(items, files, strict=True):
            if item.source is not None:
                storage.take_upload(file, item.source)
        with database.begin() as session:
            kept = _kept(spec, settings)
            check_added(session, settings, owner, _load_of(items))
            segments = store_job(session, job_id, kept, items, root=None, owner=owner)
            _keep_key(session, key, job_id)
    except _UsedKeyError:
        storage.delete_job(job_id)
        return _earlier_of(database, key)
    except BaseException:
        storage.delete_job(job_id)
        raise
    _ring(database, queue, job_id, _bells(items, segments))
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
    """Make a job of the files in a server's folder, which are read where they lie.

    Raises:
        FolderError: no such root, or the path leaves it, is no folder, or holds no file.
        SubmissionError: no usable file, or too many; nothing was stored.
        IdempotencyConflictError: the key was used for another submission.
        QueueFullError, StorageFullError, DatabaseError: nothing was stored; the same may work
            later.
    """
    owner = checked_owner(owner)
    key = _key(idempotency_key, spec, owner, {"root": root, "path": relative_path})
    earlier = _earlier(database, key)
    if earlier is not None:
        return earlier
    check_webhook(spec.webhook, settings)
    folder = root_folder(settings.roots, root)
    storage.check_room()
    items: list[NewItem] = []
    prefix = relative_path.strip("/")
    for found in walk_beneath(folder, relative_path):
        _check_count(len(items) + 1, settings)
        inner = found.relative_path.removeprefix(prefix).lstrip("/")
        items.append(_folder_item(found, name=inner or found.relative_path, folder=folder))
    if not items:
        raise FolderError("That folder holds no file.")
    _check_any_usable(items)
    storage.check_results_room(_room_for_results(items, spec))
    job_id = str(uuid.uuid4())
    try:
        with database.begin() as session:
            kept = _kept(spec, settings)
            check_added(session, settings, owner, _load_of(items))
            segments = store_job(session, job_id, kept, items, root=root, owner=owner)
            _keep_key(session, key, job_id)
    except _UsedKeyError:
        return _earlier_of(database, key)
    _ring(database, queue, job_id, _bells(items, segments))
    return Submitted(job_id, replayed=False)


def checked_owner(owner: str) -> str:
    """The name under which a job takes turns with the jobs of others.

    Raises:
        OptionsError: too long, or not printable.
    """
    name = owner.strip()
    if len(name) > MAX_OWNER_CHARACTERS or not name.isprintable():
        raise OptionsError(
            {"owner": f"must be at most {MAX_OWNER_CHARACTERS} printable characters"}
        )
    return name


def normal_name(name: str) -> str:
    """The name that a file is shown under: relative, printable, of bounded length.

    It never becomes a path on the server, so it is made harmless to look at and nothing more.
    """
    text = name.encode("utf-8", "replace").decode("utf-8").replace("\\", "/")
    # "C" are control, format (right-to-left overrides among them), surrogate and private
    # characters, "Zl" and "Zp" line ends: they break tables and terminals, or dress a name up.
    shown = "".join(
        "_"
        if unicodedata.category(letter)[0] == "C" or unicodedata.category(letter) in _LINE_ENDS
        else letter
        for letter in text
    )
    parts = [part for part in shown.split("/") if part.strip() not in ("", ".", "..")]
    joined = "/".join(parts) or UNNAMED
    return joined if len(joined) <= MAX_NAME_CHARACTERS else f"…{joined[1 - MAX_NAME_CHARACTERS :]}"


def _uploaded_item(name: str, file: IncomingFile, key: str) -> NewItem:
    with file.path.open("rb") as opened:
        head = opened.read(media.HEAD_BYTES)
    return _item(name, head, size=file.bytes, source=key, modified_ns=None)


def _folder_item(found: FoundFile, *, name: str, folder: Path) -> NewItem:
    shown = normal_name(name)
    if not found.regular:
        return _refused(shown, 0, MediaError("Not a regular file: links and pipes are not read."))
    try:
        found.relative_path.encode("utf-8")
        with open_beneath(folder, found.relative_path) as file:
            head = os.pread(file.descriptor, media.HEAD_BYTES, 0)
            return _item(
                shown,
                head,
                size=file.bytes,
                source=found.relative_path,
                modified_ns=file.modified_ns,
            )
    except UnicodeEncodeError:
        return _refused(shown, 0, MediaError("The file's name is not UTF-8: rename it."))
    except MediaError as error:
        return _refused(shown, 0, error)


def _item(name: str, head: bytes, *, size: int, source: str, modified_ns: int | None) -> NewItem:
    try:
        found = media.recognise(head, size=size)
    except MediaError as error:
        return _refused(name, size, error)
    return NewItem(
        name=name,
        bytes=size,
        source=source,
        kind=found.kind,
        modified_ns=modified_ns,
    )


def _refused(name: str, size: int, error: MediaError) -> NewItem:
    return NewItem(
        name=name,
        bytes=size,
        source=None,
        error=ErrorDocument(code=error.code, message=str(error)),
        refusal=error,
    )


def _kept(spec: JobSpec, settings: Settings) -> JobSpec:
    """The options as they are stored: how long a job is kept is settled when it is submitted."""
    if spec.keep_days is not None or settings.keep_days is None:
        return spec
    return spec.model_copy(update={"keep_days": settings.keep_days})


def _check_count(count: int, settings: Settings) -> None:
    if count > settings.max_files:
        raise UploadTooLargeError(
            f"More than {settings.max_files} files, the most that this server takes at once: "
            "submit them in parts."
        )


def _check_any_usable(items: Sequence[NewItem]) -> None:
    if any(item.error is None for item in items):
        return
    first = items[0]
    if len(items) == 1 and first.refusal is not None:
        raise first.refusal
    assert first.error is not None  # noqa: S101 (all items have one, or we had returned)
    raise SubmissionError(
        f"None of the {len(items)} files can be processed. The first, {first.name}: "
        f"{first.error.message}"
    )


def _load_of(items: Sequence[NewItem]) -> Load:
    return Load(jobs=1, items=len(items), bytes=sum(item.bytes for item in items))


def _room_for_results(items: Sequence[NewItem], spec: JobSpec) -> int:
    """About how many bytes the job's results take: an annotated copy is as large as its source."""
    if not spec.annotated:
        return 0
    return sum(item.bytes for item in items if item.error is None)


def has_key(database: Database, key: str | None) -> bool:
    """Whether a submission with this key was accepted before: its repetition adds no work."""
    if key is None:
        return False
    question = select(IdempotencyRow.key).where(IdempotencyRow.key == key)
    with database.read() as session:
        return session.scalar(question) is not None


class _UsedKeyError(Exception):
    """Another submission with the same key was committed first. Never leaves this file."""


def _key(key: str | None, spec: JobSpec, owner: str, request: Mapping[str, Any]) -> _Key | None:
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_KEY_CHARACTERS or not key.isprintable():
        raise OptionsError(
            {"Idempotency-Key": f"must be 1 to {MAX_KEY_CHARACTERS} printable characters"}
        )
    canonical = json.dumps(
        {"options": spec.model_dump(mode="json"), "owner": owner, **request},
        sort_keys=True,
        ensure_ascii=True,
    )
    return _Key(key, hashlib.sha256(canonical.encode()).hexdigest())


def _earlier(database: Database, key: _Key | None) -> Submitted | None:
    """What the key stood for before, if anything."""
    if key is None:
        return None
    with database.read() as session:
        row = session.execute(
            select(IdempotencyRow.request_sha256, IdempotencyRow.job_id).where(
                IdempotencyRow.key == key.key
            )
        ).one_or_none()
    if row is None:
        return None
    if row.request_sha256 != key.request_sha256:
        raise IdempotencyConflictError(
            "This Idempotency-Key was used before with other files or options: "
            "use a new key for a new submission."
        )
    return Submitted(row.job_id, replayed=True)


def _earlier_of(database: Database, key: _Key | None) -> Submitted:
    earlier = _earlier(database, key)
    if earlier is None:  # the other's job was deleted in this very moment
        raise DatabaseError("The same submission was just deleted: send it again.")
    return earlier


def _keep_key(session: Session, key: _Key | None, job_id: str) -> None:
    """Store the key beside its job. Of two at once, the second waits here for the first.

    Raises:
        _UsedKeyError: the key is taken; the transaction is to be given up.
    """
    if key is None:
        return
    insert = postgresql.insert if _dialect(session) == "postgresql" else sqlite.insert
    kept = session.scalar(
        insert(IdempotencyRow)
        .values(key=key.key, request_sha256=key.request_sha256, job_id=job_id)
        .on_conflict_do_nothing()
        .returning(IdempotencyRow.key)
    )
    if kept is None:
        raise _UsedKeyError


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name


def _bells(items: Sequence[NewItem], segments: Sequence[int]) -> list[int]:
    """The segments to ring for: images are worked on many at a time, by who hears of one."""
    usable = [item for item in items if item.error is None]
    pairs = zip(usable, segments, strict=True)
    images = [number for item, number in pairs if item.kind == "image"]
    unheard = frozenset(images[MOST_IMAGE_BELLS:])
    return [number for number in segments if number not in unheard]


def _ring(database: Database, queue: Queue, job_id: str, segments: Sequence[int]) -> None:
    """Tell the workers. What can't be told now is told by the sweep: the rows are committed."""
    try:
        for segment_id in segments:
            queue.ring_segment(segment_id)
        with database.begin() as session:
            session.execute(
                update(SegmentRow)
                .where(SegmentRow.job_id == job_id)
                .values(last_rung_at=now_seconds())
            )
    except (QueueError, DatabaseError, StorageFullError) as error:
        _log.warning("job %s is stored, but its workers were not told: %s", job_id, error)
