"""The files that one stage of an item left for the next."""

from __future__ import annotations

from pathlib import Path

from faces_jobs.db.part_queries import files_of
from faces_jobs.db.parts import SegmentFile
from faces_jobs.errors import NotFoundError
from faces_jobs.pipeline.cut_plan import NotCuttableError
from faces_jobs.sinks.joined import PART_SUFFIX
from faces_jobs.worker.attempt import SegmentAttempt

FOUND = "found"  # a part's faces with all that linking goes by
PORTRAITS = "portraits"  # the best shots of a part's own tracks
LINKED = "linked"  # what is to be drawn of a part
DRAWN = "drawn"  # the pictures of a run of a part
LENGTH = "length"  # how long a run's last picture is shown
SHOT = "shot"  # a track's best shot
# Each is called by the number of its part, run or track, and one of these.
_KINDS = {
    ".found.jsonl": FOUND,
    ".portraits.zip": PORTRAITS,
    ".linked.jsonl": LINKED,
    PART_SUFFIX: DRAWN,
    ".json": LENGTH,
    ".jpg": SHOT,
}


def publish_stage_files(attempt: SegmentAttempt) -> list[SegmentFile]:
    """Move an attempt's files to where the next stages find them, once rows tell of them.

    Raises:
        StorageError, StorageFullError: they can't be kept now.
    """
    return [
        SegmentFile(_KINDS["".join(Path(name).suffixes)], name, int(name.split(".")[0]), file.key)
        for name, file in attempt.publish().items()
    ]


def stage_files(attempt: SegmentAttempt, kind: str, *, only: int | None = None) -> dict[int, Path]:
    """An item's files of one kind, by part, run or track, in their order; or of `only` that one.

    Where files are kept elsewhere they are brought to a folder in the workspace.

    Raises:
        NotCuttableError: one is not there any more: the item has to be begun anew.
        StorageError, StorageFullError: they can't be had now.
    """
    worker = attempt.worker
    keys = files_of(worker.database, attempt.claim.item_id, kind)
    if only is not None:
        keys = {number: key for number, key in keys.items() if number == only}
    folder = attempt.workspace / kind
    folder.mkdir()
    try:
        paths = worker.storage.bring(list(keys.values()), folder, on_progress=attempt.goes_on)
    except NotFoundError as error:
        raise NotCuttableError(f"a file of kind {kind!r} between the stages is missing") from error
    return dict(zip(keys, paths, strict=True))
