"""The bind stage: joins the drawn parts into one annotated copy with sound, and adds thumbnails."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

from faces_jobs.db.claims.fencing import SegmentClaim
from faces_jobs.db.segments.part_queries import file_folders
from faces_jobs.db.segments.parts import finish_bind
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.sinks.annotated import VIDEO_SUFFIX
from faces_jobs.sinks.joined import join_parts
from faces_jobs.worker.artifacts import media_rows
from faces_jobs.worker.attempt import SegmentAttempt, segment_attempt
from faces_jobs.worker.names import artifact_stem
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.stages.files import DRAWN, LENGTH, SHOT, stage_files

_log = logging.getLogger(__name__)


def bind(claim: SegmentClaim, worker: Worker) -> bool:
    """Make the item's artifacts from those of its parts. True: the job can be finished now.

    Raises:
        NotCuttableError: the parts don't fit together.
        Exception: whatever `segment_attempt` raises.
    """
    stem = artifact_stem(claim.position, claim.item_name)
    kinds: dict[str, tuple[str, int | None]] = {}
    with segment_attempt(claim, worker) as attempt:
        out = attempt.out
        if parts := stage_files(attempt, DRAWN):
            name = f"{stem}.annotated{VIDEO_SUFFIX}"
            _join(list(parts.values()), out / name, attempt)
            kinds[name] = ("annotated_video", None)
        for track, path in stage_files(attempt, SHOT).items():
            name = f"{stem}.track-{track}.jpg"
            shutil.copyfile(path, out / name)
            kinds[name] = ("thumbnail", track)
        artifacts = media_rows(kinds, attempt.publish())
        stage_folders = file_folders(worker.database, claim.item_id)
        job_done = attempt.record(lambda: finish_bind(worker.database, claim, artifacts))
    # After a crash the sweep removes them, since they have no rows.
    worker.storage.remove_attempts(stage_folders)
    return bool(job_done)


def _join(parts: list[Path], path: Path, attempt: SegmentAttempt) -> None:
    worker = attempt.worker
    lengths = stage_files(attempt, LENGTH)
    length = json.loads(lengths[max(lengths)].read_text(encoding="utf-8"))
    with attempt.source() as source:
        with open_frames(source, max_pixels=worker.settings.max_pixels) as reader:
            info = reader.info
        count = join_parts(
            parts,
            path,
            info=info,
            source=source,
            last_duration_ms=length["last_duration_ms"],
            on_progress=attempt.keep_alive,
        )
    _log.info("joined %d runs: %d frames", len(parts), count)
