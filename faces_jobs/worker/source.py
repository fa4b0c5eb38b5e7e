"""Opens the file that an item stands for: an upload, or a file of a server's folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from faces_jobs.db.claims import SegmentClaim
from faces_jobs.errors import FolderError, SourceError
from faces_jobs.folders import open_beneath, root_folder
from faces_jobs.storage import LocalStorage


@contextmanager
def open_source(
    claim: SegmentClaim, *, storage: LocalStorage, roots: Mapping[str, Path]
) -> Iterator[Path]:
    """A path that leads to the file's content, as long as this is open.

    Raises:
        SourceError: the file is gone, may not be read, or has changed since it was submitted.
    """
    if claim.root is None:
        path = storage.path_of(claim.source)
        if not path.is_file():
            raise SourceError("The uploaded file is not there any more: submit it again.")
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
