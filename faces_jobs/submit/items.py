"""Makes items of files: each is recognised by its content, or becomes an item that is refused."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from faces_jobs import media
from faces_jobs.db.jobs.changes import NewItem
from faces_jobs.db.jobs.limits import Load
from faces_jobs.errors import MediaError, SubmissionError
from faces_jobs.folders import FoundFile, open_beneath
from faces_jobs.jobs.names import normalise_name
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.storage import IncomingFile

_NOT_READABLE = (
    "Not a regular file: links, pipes and folders that the server may not open are not read."
)


def uploaded_item(name: str, file: IncomingFile, key: str) -> NewItem:
    """Make an item of an uploaded file, which is to be stored under `key`."""
    with file.path.open("rb") as opened:
        head = opened.read(media.HEAD_BYTES)
    return _item(name, head, size=file.bytes, source=key, modified_ns=None)


def folder_item(found: FoundFile, *, name: str, folder: Path) -> NewItem:
    """Make an item of a file in a folder of the server, from which it will be read."""
    shown = normalise_name(name)
    if not found.is_regular:
        return _refused(shown, 0, MediaError(_NOT_READABLE))
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


def check_any_usable(items: Sequence[NewItem]) -> None:
    """Check that at least one file can be processed.

    Raises:
        MediaError: the only file can't be processed.
        SubmissionError: none of several files can be processed.
    """
    if any(item.error is None for item in items):
        return
    first = items[0]
    if len(items) == 1 and first.error is not None:
        raise first.error
    raise SubmissionError(
        f"None of the {len(items)} files can be processed. The first, {first.name}: {first.error}"
    )


def load_of(items: Sequence[NewItem]) -> Load:
    """Return what a job of these items adds to the queue."""
    return Load(jobs=1, items=len(items), bytes=sum(item.bytes for item in items))


def estimate_result_bytes(items: Sequence[NewItem], spec: JobSpec) -> int:
    """Estimate the bytes of a job's results: an annotated copy is about as large as its source."""
    if not spec.annotated:
        return 0
    return sum(item.bytes for item in items if item.error is None)


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
    return NewItem(name=name, bytes=size, source=None, error=error)
