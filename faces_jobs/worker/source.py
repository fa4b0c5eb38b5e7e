"""Opens an item's source file: an upload, or a file in a folder on the server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from faces_jobs.db.claims.fencing import SegmentClaim
from faces_jobs.errors import FolderError, NotFoundError, SourceError
from faces_jobs.folders import open_beneath, root_folder
from faces_jobs.storage import Storage
from faces_jobs.storage.progress import Progress


@contextmanager
def open_source(
    claim: SegmentClaim, *, storage: Storage, roots: Mapping[str, Path], on_progress: Progress
) -> Iterator[Path]:
    """A path to the file's content, valid while this is open.

    `on_progress` is called while the file is downloaded from a bucket.

    Raises:
        SourceError: the file is missing, may not be read, or has changed since it was submitted.
        StorageError: the storage is not available.
        StorageFullError: there is no space on this machine for the download.
        Exception: whatever `on_progress` raises.
    """
    if claim.root is None:
        with ExitStack() as stack:
            try:
                path = stack.enter_context(storage.fetch(claim.source, on_progress=on_progress))
            except NotFoundError as error:
                raise SourceError(
                    "The uploaded file does not exist any more: submit it again."
                ) from error
            yield path
        return
    try:
        folder = root_folder(roots, claim.root)
    except FolderError as error:
        raise SourceError(
            f"The worker does not know the root {claim.root!r}: set FACES_JOBS_ROOTS as for the "
            "web server."
        ) from error
    with open_beneath(folder, claim.source) as file:
        if (file.bytes, file.modified_ns) != (claim.bytes, claim.modified_ns):
            raise SourceError("The file has changed since it was submitted: submit it again.")
        yield file.path
