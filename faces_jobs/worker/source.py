"""Opens the file that an item stands for: an upload, or a file of a server's folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from faces_jobs.db.claims import SegmentClaim
from faces_jobs.errors import FolderError, NotFoundError, SourceError
from faces_jobs.folders import open_beneath, root_folder
from faces_jobs.storage import Storage
from faces_jobs.storage.progress import Progress


@contextmanager
def open_source(
    claim: SegmentClaim, *, storage: Storage, roots: Mapping[str, Path], on_progress: Progress
) -> Iterator[Path]:
    """A path that leads to the file's content, as long as this is open.

    While it is brought from elsewhere `on_progress` is called.

    Raises:
        SourceError: the file is gone, may not be read, or has changed since it was submitted.
        StorageError, StorageFullError: it is kept elsewhere, and can't be had now.
        Exception: whatever `on_progress` raises.
    """
    if claim.root is None:
        with ExitStack() as stack:
            try:
                path = stack.enter_context(storage.fetch(claim.source, on_progress=on_progress))
            except NotFoundError as error:
                raise SourceError(
                    "The uploaded file is not there any more: submit it again."
                ) from error
            yield path
        return
    try:
        folder = root_folder(roots, claim.root)
    except FolderError as error:
        raise SourceError(
            f"The worker does not know the root {claim.root!r}: give it the server's setting."
        ) from error
    with open_beneath(folder, claim.source) as file:
        if (file.bytes, file.modified_ns) != (claim.bytes, claim.modified_ns):
            raise SourceError("The file has changed since it was submitted: submit it again.")
        yield file.path
