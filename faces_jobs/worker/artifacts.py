"""An item's artifacts: the sinks that write them, their names, and their rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from faces_jobs.db.claims.fencing import SegmentClaim
from faces_jobs.db.results.outcomes import NewArtifact
from faces_jobs.pipeline.protocols import Sink
from faces_jobs.pipeline.values import MediaInfo
from faces_jobs.settings import EncoderName
from faces_jobs.sinks.annotated import open_annotated, suffix_of
from faces_jobs.sinks.thumbnails import Thumbnails
from faces_jobs.storage import StoredFile
from faces_jobs.worker.names import artifact_stem

MEDIA_TYPES = {
    ".mp4": "video/mp4",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".gif": "image/gif",
    ".avif": "image/avif",
}


class ItemArtifacts:
    """The files of one attempt at an item, in a workspace folder until they are published.

    The images of a bundle share the folder.
    """

    def __init__(self, claim: SegmentClaim, out: Path) -> None:
        self._claim = claim
        self._stem = artifact_stem(claim.position, claim.item_name)
        self._out = out
        self._kinds: dict[str, tuple[str, int | None]] = {}

    @contextmanager
    def sinks(self, source: Path, info: MediaInfo, *, encoder: EncoderName) -> Iterator[list[Sink]]:
        """Open the sinks that the job's options require.

        Their files are complete once the block has ended without an error.
        """
        with ExitStack() as stack:
            thumbnails = Thumbnails(self._out, prefix=f"{self._stem}.track-")
            stack.enter_context(thumbnails)
            sinks: list[Sink] = [thumbnails]
            if self._claim.spec.annotated:
                suffix = suffix_of(info)
                stem = f"{self._stem}.annotated"
                kind = "annotated_image" if info.kind == "image" else "annotated_video"
                self._kinds[f"{stem}{suffix}"] = (kind, None)
                copy = open_annotated(self._out / stem, info, source, encoder=encoder)
                sinks.append(stack.enter_context(copy))
            yield sinks
        for track, path in thumbnails.paths():
            self._kinds[path.name] = ("thumbnail", track)

    def rows(self, stored: Mapping[str, StoredFile]) -> list[NewArtifact]:
        """The artifact rows of this item's files, among those that were published."""
        return media_rows(self._kinds, stored)


def media_rows(
    kinds: Mapping[str, tuple[str, int | None]], stored: Mapping[str, StoredFile]
) -> list[NewArtifact]:
    """The rows of these pictures and videos, given the kind and the track of each by its name."""
    return [
        artifact_row(kind, name, MEDIA_TYPES[Path(name).suffix], stored[name], track=track)
        for name, (kind, track) in kinds.items()
    ]


def artifact_row(
    kind: str, name: str, media_type: str, file: StoredFile, *, track: int | None = None
) -> NewArtifact:
    """The row that makes a published file visible."""
    return NewArtifact(
        kind=kind,
        name=name,
        media_type=media_type,
        bytes=file.bytes,
        sha256=file.sha256,
        storage_key=file.key,
        track=track,
    )
