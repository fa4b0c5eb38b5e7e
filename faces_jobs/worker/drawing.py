"""Draws one part of a video: its share of the annotated copy, and the best shots that are in it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from faces_jobs.db.claims import SegmentClaim
from faces_jobs.db.part_questions import BestShot, best_shots
from faces_jobs.db.parts import SegmentFile, finish_part
from faces_jobs.errors import TruncatedError
from faces_jobs.jobs.records import FaceRecord
from faces_jobs.pipeline.cuts import Part
from faces_jobs.pipeline.frames import open_part
from faces_jobs.pipeline.stages import FrameReader
from faces_jobs.pipeline.values import Face, Frame
from faces_jobs.sinks.findings import read_linked
from faces_jobs.sinks.joined import PART_FORMAT, PART_SUFFIX
from faces_jobs.sinks.thumbnails import Thumbnails
from faces_jobs.sinks.video import AnnotatedVideo
from faces_jobs.storage import told_when_full
from faces_jobs.worker.between import DRAWN, LENGTH, LINKED, SHOT, files_between
from faces_jobs.worker.holding import Holding
from faces_jobs.worker.record import Published, record
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.source import open_source

_KINDS = {PART_SUFFIX: DRAWN, ".json": LENGTH, ".jpg": SHOT}

_log = logging.getLogger(__name__)


def draw(claim: SegmentClaim, worker: Worker) -> bool:
    """Draw one part. True: the job is to be finished now.

    Raises:
        NotCuttableError: the part is not what was planned.
        MediaError, StorageFullError, CancelledError, LeaseLostError, ...: as for whole items.
    """
    settings, storage = worker.settings, worker.storage
    part = Part.of(claim.part or {})
    end_frame = None if part.is_last else part.first_frame + part.frames
    shots = best_shots(
        worker.database, claim.item_id, start_frame=part.first_frame, end_frame=end_frame
    )
    with ExitStack() as stack:
        heartbeat = stack.enter_context(Holding(claim, worker))
        stack.enter_context(told_when_full())
        path = stack.enter_context(open_source(claim, storage=storage, roots=settings.roots))
        reader = stack.enter_context(open_part(path, part, max_pixels=settings.max_pixels))
        workspace = stack.enter_context(storage.workspace(claim.token))
        out = workspace / "out"
        out.mkdir()
        linked = files_between(claim, worker, LINKED, workspace=workspace, only=part.number).get(
            part.number
        )
        faces = None if linked is None else _Shown(linked)
        stem = out / str(part.number)
        _draw(
            reader,
            stem,
            shots,
            faces,
            every=settings.batch_size,
            on_progress=lambda: heartbeat.progress(0, None),
        )
        stored = storage.publish(
            out, job_id=claim.job_id, owner=str(claim.item_id), token=claim.token
        )
        heartbeat.stop()
        files = [
            SegmentFile(_KINDS[Path(name).suffix], name, int(Path(name).stem), file.key)
            for name, file in stored.items()
        ]
        ended = record(
            worker,
            Published(claim.job_id, str(claim.item_id), claim.token),
            lambda: finish_part(worker.database, claim, files),
        )
    _log.info("part %d: drawn, %d best shots", part.number, len(shots))
    return bool(ended)


def _draw(
    reader: FrameReader,
    stem: Path,
    shots: Sequence[BestShot],
    faces: _Shown | None,
    *,
    every: int,
    on_progress: Callable[[], None],
) -> None:
    """Write `<track>.jpg` of each best shot beside `stem`; with faces to be shown the video too."""
    by_frame: dict[int, list[Face]] = {}
    for shot in shots:
        by_frame.setdefault(shot.frame_index, []).append(_face(shot))
    last: Frame | None = None
    with ExitStack() as sinks:
        thumbnails = sinks.enter_context(Thumbnails(stem.parent))
        video = None
        if faces is not None:
            video = sinks.enter_context(
                AnnotatedVideo(stem.with_suffix(PART_SUFFIX), info=reader.info, format=PART_FORMAT)
            )
        for number, frame in enumerate(_whole_frames(reader)):
            thumbnails.add(frame, by_frame.pop(frame.index, ()), analysed=True)
            if faces is not None and video is not None:
                video.add(frame, faces.at(frame.index), analysed=True)
                last = frame
            elif not by_frame:
                return
            if number % every == 0:
                on_progress()
        if video is not None and last is not None:
            video.finish([])
            length = {"last_duration_ms": last.duration_ms or 0.0}
            stem.with_suffix(".json").write_text(json.dumps(length), encoding="utf-8")


class _Shown:
    """The faces that are shown in each frame: those of the last one that was analysed."""

    def __init__(self, path: Path) -> None:
        self._frames = read_linked(path)
        self._next = next(self._frames, None)
        self._faces: list[Face] = []

    def at(self, index: int) -> list[Face]:
        """Those of this frame; frames are asked for in order."""
        while self._next is not None and self._next[0] <= index:
            self._faces = self._next[1]
            self._next = next(self._frames, None)
        return self._faces


def _whole_frames(reader: FrameReader) -> Iterator[Frame]:
    """All frames up to where the file breaks off, which was told when its faces were found."""
    try:
        yield from reader
    except TruncatedError:
        return


def _face(shot: BestShot) -> Face:
    record = FaceRecord(
        shot.frame_index, shot.time_ms, 0, shot.track, shot.box_xyxy, score=1.0, attributes={}
    )
    return Face(record, {}, {}, quality=1.0)
