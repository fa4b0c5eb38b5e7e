"""The files that one stage of an item leaves for the next."""

from __future__ import annotations

from pathlib import Path

from faces_jobs.db.segments.part_queries import files_of
from faces_jobs.db.segments.parts import SegmentFile
from faces_jobs.errors import NotFoundError
from faces_jobs.pipeline.cutting.plan import NotCuttableError
from faces_jobs.sinks.joined import PART_SUFFIX
from faces_jobs.worker.attempt import SegmentAttempt

FOUND = "found"  # a part's faces, with all that the link stage needs
PORTRAITS = "portraits"  # the best shots of a part's own tracks
LINKED = "linked"  # the faces to draw in a part
DRAWN = "drawn"  # the encoded frames of a run
LENGTH = "length"  # the duration of a run's last frame
SHOT = "shot"  # a track's best shot
# A file's name is the number of its part, run or track, followed by one of these suffixes.
_KINDS = {
    ".found.jsonl": FOUND,
    ".portraits.zip": PORTRAITS,
    ".linked.jsonl": LINKED,
    PART_SUFFIX: DRAWN,
    ".json": LENGTH,
    ".jpg": SHOT,
}


def publish_stage_files(attempt: SegmentAttempt) -> list[SegmentFile]:
    """Publish an attempt's files for the next stages, which find them by their rows.

    Raises:
        StorageError: the storage is not available.
        StorageFullError: the storage is full.
    """
    return [
        SegmentFile(_KINDS["".join(Path(name).suffixes)], name, int(name.split(".")[0]), file.key)
        for name, file in attempt.publish().items()
    ]


def stage_files(attempt: SegmentAttempt, kind: str, *, only: int | None = None) -> dict[int, Path]:
    """An item's files of one kind, by number of part, run or track, in ascending order.

    Files in a bucket are downloaded to a folder in the workspace.

    Args:
        attempt: the attempt that reads them.
        kind: such as `FOUND`.
        only: the one number whose file is wanted; None: all.

    Raises:
        NotCuttableError: a file is missing: the item has to be restarted.
        StorageError: the storage is not available.
        StorageFullError: there is no space on this machine for the downloads.
    """
    worker = attempt.worker
    keys = files_of(worker.database, attempt.claim.item_id, kind)
    if only is not None:
        keys = {number: key for number, key in keys.items() if number == only}
    folder = attempt.workspace / kind
    folder.mkdir()
    try:
        paths = worker.storage.fetch_all(
            list(keys.values()), folder, on_progress=attempt.keep_alive
        )
    except NotFoundError as error:
        raise NotCuttableError(f"a stage file of kind {kind!r} is missing") from error
    return dict(zip(keys, paths, strict=True))
