"""Binds what was drawn part by part: one annotated copy with the source's sound, and thumbnails."""

from __future__ import annotations

import json
import logging
import shutil
from contextlib import ExitStack
from pathlib import Path

from faces_jobs.db.claims import SegmentClaim
from faces_jobs.db.outcomes import NewArtifact
from faces_jobs.db.part_questions import file_folders
from faces_jobs.db.parts import finish_bind
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.sinks.annotated import VIDEO_SUFFIX
from faces_jobs.sinks.joined import join_parts
from faces_jobs.storage import told_when_full
from faces_jobs.worker.artifacts import MEDIA_TYPES
from faces_jobs.worker.between import DRAWN, LENGTH, SHOT, files_between
from faces_jobs.worker.heartbeat import Heartbeat
from faces_jobs.worker.holding import Holding
from faces_jobs.worker.names import artifact_stem
from faces_jobs.worker.record import Published, record
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.source import open_source

_log = logging.getLogger(__name__)


def bind(claim: SegmentClaim, worker: Worker) -> bool:
    """Make the item's artifacts of its parts'. True: the job is to be finished now.

    Raises:
        NotCuttableError: the parts don't fit together.
        StorageFullError, CancelledError, LeaseLostError, ...: as for whole items.
    """
    storage, database = worker.storage, worker.database
    stem = artifact_stem(claim.position, claim.item_name)
    kinds: dict[str, tuple[str, int | None]] = {}
    with ExitStack() as stack:
        heartbeat = stack.enter_context(Holding(claim, worker))
        stack.enter_context(told_when_full())
        workspace = stack.enter_context(storage.workspace(claim.token))
        out = workspace / "out"
        out.mkdir()
        for track, path in files_between(claim, worker, SHOT, workspace=workspace).items():
            name = f"{stem}.track-{track}.jpg"
            shutil.copyfile(path, out / name)
            kinds[name] = ("thumbnail", track)
        if parts := files_between(claim, worker, DRAWN, workspace=workspace):
            name = f"{stem}.annotated{VIDEO_SUFFIX}"
            lengths = files_between(claim, worker, LENGTH, workspace=workspace)
            length = json.loads(lengths[max(lengths)].read_text(encoding="utf-8"))
            _join(
                list(parts.values()),
                out / name,
                claim,
                worker,
                heartbeat,
                last_duration_ms=length["last_duration_ms"],
            )
            kinds[name] = ("annotated_video", None)
        stored = storage.publish(
            out, job_id=claim.job_id, owner=str(claim.item_id), token=claim.token
        )
        heartbeat.stop()
        artifacts = [
            NewArtifact(
                kind=kinds[name][0],
                name=name,
                media_type=MEDIA_TYPES[Path(name).suffix],
                bytes=file.bytes,
                sha256=file.sha256,
                storage_key=file.key,
                track=kinds[name][1],
            )
            for name, file in stored.items()
        ]
        spent = file_folders(database, claim.item_id)
        ended = record(
            worker,
            Published(claim.job_id, str(claim.item_id), claim.token),
            lambda: finish_bind(database, claim, artifacts),
        )
    for folder in spent:  # what a crash leaves of them has no rows, and the sweep removes it
        storage.remove_attempt(folder)
    return bool(ended)


def _join(
    parts: list[Path],
    path: Path,
    claim: SegmentClaim,
    worker: Worker,
    heartbeat: Heartbeat,
    *,
    last_duration_ms: float,
) -> None:
    settings, storage = worker.settings, worker.storage
    with open_source(claim, storage=storage, roots=settings.roots) as source:
        with open_frames(source, max_pixels=settings.max_pixels) as reader:
            info = reader.info
        count = join_parts(
            parts,
            path,
            info=info,
            source=source,
            last_duration_ms=last_duration_ms,
            on_progress=lambda: heartbeat.progress(0, None),
        )
    _log.info("bound %d runs of parts: %d pictures", len(parts), count)
