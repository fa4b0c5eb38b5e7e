"""A job's artifacts as one ZIP archive that is made while it is sent, without a temporary file.

The files are stored, since pictures and videos are compressed already. Rows are read in pages and
files in chunks; only what the ZIP directory says about each file, about 1 kB, stays in memory.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import BinaryIO
from zipfile import ZipFile, ZipInfo

from sqlalchemy import select

from faces_jobs.db.session import Database
from faces_jobs.db.tables import ArtifactRow
from faces_jobs.errors import NotFoundError, StorageError
from faces_jobs.results.archive_length import ArchiveLength
from faces_jobs.results.pages import check_job_exists
from faces_jobs.storage import Storage

PAGE_ROWS = 1000
CHUNK_BYTES = 256 * 1024
# What the archive says of files that the server has lost; users would not miss them otherwise.
MISSING_FILES_NAME = "missing-files.txt"
MISSING_FILES_TEXT = "These files of the job are missing from the server:\n\n"

# ZIP's own times have no time zone and two seconds' resolution; this field has the time in UTC.
_UTC_TIME = struct.Struct("<HHBi")
_UTC_TIME_ID = 0x5455
_HAS_MODIFIED = 1
_LAST_UTC_SECOND = 2**31 - 1
_FIRST_TIME = (1980, 1, 1, 0, 0, 0)
_LAST_TIME = (2107, 12, 31, 23, 59, 58)


@dataclass(frozen=True, slots=True)
class ArchivePlan:
    """The files that an archive will have, and its length."""

    job_id: str
    artifact_ids: tuple[int, ...]
    note: bytes  # names the files that are known to be missing; empty if there are none
    bytes: int  # of the whole archive
    planned_at: datetime


def plan_archive(
    database: Database, job_id: str, *, item_id: int | None = None, kind: str | None = None
) -> ArchivePlan:
    """Choose the artifacts that a job has now, all or those of an item or a kind.

    Raises:
        NotFoundError: there is no such job, or it has no such files.
    """
    length = ArchiveLength(extra_bytes=_UTC_TIME.size)
    ids: list[int] = []
    missing: list[str] = []
    for artifact_id, name, size, is_missing in _artifacts(database, job_id, item_id, kind):
        if is_missing:
            missing.append(name)
        else:
            ids.append(artifact_id)
            length.add(_entry_name(name), size)
    if not ids:
        raise NotFoundError(
            f"No file is left: all {len(missing)} are missing from the server."
            if missing
            else f"Job {job_id} has no files to download, or none yet that match."
        )
    note = (MISSING_FILES_TEXT + "".join(f"{name}\n" for name in missing)).encode()
    if missing:
        length.add(MISSING_FILES_NAME, len(note))
    return ArchivePlan(
        job_id=job_id,
        artifact_ids=tuple(ids),
        note=note if missing else b"",
        bytes=length.total(),
        planned_at=datetime.now(UTC),
    )


def archive_chunks(
    database: Database, storage: Storage, plan: ArchivePlan
) -> Generator[bytes, None, None]:
    """Yield the archive, `plan.bytes` in all.

    Raises:
        NotFoundError: a file is missing, or was deleted meanwhile.
        StorageError: the storage can't be reached, or a file has changed.
        OSError: a local file can't be read.
    """
    unsent = _Unsent()
    with ZipFile(unsent, "w") as archive:
        for name, size, key in _files(database, plan):
            opened = storage.open_file(key)
            with opened.file as file:
                if opened.bytes != size:
                    raise StorageError(f"{name} has {opened.bytes} bytes instead of {size}.")
                with archive.open(_entry(name, size, opened.modified), "w") as entry:
                    for chunk in _chunks(file, name, size):
                        entry.write(chunk)
                        if unsent.is_chunk():
                            yield unsent.take()
        if plan.note:
            note = _entry(MISSING_FILES_NAME, len(plan.note), plan.planned_at)
            archive.writestr(note, plan.note)
    yield unsent.take()


class _Unsent:
    """The stream that `zipfile` writes to: what was written and not yet sent. It can't seek."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        self._data += data
        return len(data)

    def flush(self) -> None:
        """Do nothing: `take` returns everything."""

    def close(self) -> None:
        """Do nothing, likewise."""

    def is_chunk(self) -> bool:
        return len(self._data) >= CHUNK_BYTES

    def take(self) -> bytes:
        taken = bytes(self._data)
        self._data.clear()
        return taken


def _artifacts(
    database: Database, job_id: str, item_id: int | None, kind: str | None
) -> Iterator[tuple[int, str, int, bool]]:
    statement = (
        select(ArtifactRow.id, ArtifactRow.name, ArtifactRow.bytes, ArtifactRow.missing_since)
        .where(ArtifactRow.job_id == job_id)
        .order_by(ArtifactRow.id)
        .limit(PAGE_ROWS)
    )
    if item_id is not None:
        statement = statement.where(ArtifactRow.item_id == item_id)
    if kind is not None:
        statement = statement.where(ArtifactRow.kind == kind)
    last_id = 0
    while True:
        with database.read() as session:
            check_job_exists(session, job_id)
            rows = session.execute(statement.where(ArtifactRow.id > last_id)).all()
        for artifact_id, name, size, missing_since in rows:
            yield artifact_id, name, size, missing_since is not None
        if len(rows) < PAGE_ROWS:
            return
        last_id = rows[-1][0]


def _files(database: Database, plan: ArchivePlan) -> Iterator[tuple[str, int, str]]:
    # By their ids: what the job gets meanwhile is no part of the archive, whose length is known.
    for start in range(0, len(plan.artifact_ids), PAGE_ROWS):
        ids = plan.artifact_ids[start : start + PAGE_ROWS]
        statement = (
            select(ArtifactRow.name, ArtifactRow.bytes, ArtifactRow.storage_key)
            .where(ArtifactRow.id.in_(ids))
            .order_by(ArtifactRow.id)
        )
        with database.read() as session:
            rows = session.execute(statement).all()
        if len(rows) < len(ids):
            raise NotFoundError(f"Files of job {plan.job_id} were deleted meanwhile.")
        for name, size, key in rows:
            yield _entry_name(name), size, key


def _entry_name(name: str) -> str:
    """The name that `faces-jobs download` gives to an artifact."""
    return PurePosixPath(name).name


def _entry(name: str, size: int, modified: datetime) -> ZipInfo:
    local = modified.astimezone().timetuple()[:6]
    entry = ZipInfo(name, date_time=max(_FIRST_TIME, min(local, _LAST_TIME)))
    entry.file_size = size  # `zipfile` decides by it whether ZIP64 is needed
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    seconds = max(0, min(int(modified.timestamp()), _LAST_UTC_SECOND))
    entry.extra = _UTC_TIME.pack(_UTC_TIME_ID, _UTC_TIME.size - 4, _HAS_MODIFIED, seconds)
    return entry


def _chunks(file: BinaryIO, name: str, size: int) -> Iterator[bytes]:
    remaining = size
    while remaining > 0:
        chunk = file.read(min(CHUNK_BYTES, remaining))
        if not chunk:
            raise StorageError(f"{name} ends {remaining} bytes early.")
        yield chunk
        remaining -= len(chunk)
