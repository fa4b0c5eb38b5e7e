"""Draws the frames of one part; its runs are drawn in parallel if there are enough cores."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from faces_jobs.db.segments.part_queries import BestShot
from faces_jobs.errors import TruncatedError
from faces_jobs.jobs.records import FaceRecord
from faces_jobs.pipeline.conveyor import StoppedError
from faces_jobs.pipeline.cutting.plan import Part
from faces_jobs.pipeline.frames import open_part
from faces_jobs.pipeline.protocols import FrameReader
from faces_jobs.pipeline.values import Face, Frame
from faces_jobs.sinks.findings import read_linked
from faces_jobs.sinks.thumbnails import Thumbnails
from faces_jobs.worker.stages.encode_runs import Run, RunCopy, split_into_runs


@dataclass(frozen=True, slots=True)
class Drawing:
    """What to draw of a part, and where to write it."""

    source: Path
    part: Part
    shots: Sequence[BestShot]
    linked: Path | None  # file of the faces to show; None: no annotated copy is wanted
    out: Path  # the folder to write to
    max_pixels: int
    progress_interval: int  # frames between two calls of `on_progress`


def draw_part(drawing: Drawing, *, lanes: int, on_progress: Callable[[], None]) -> None:
    """Write `<track>.jpg` of each best shot and, for a copy, `<run>.nut` and `<run>.json`.

    `<run>.nut` has the encoded frames of a run, `<run>.json` the duration of its last frame.

    Args:
        drawing: what to draw, and where to write it.
        lanes: how many runs may be drawn at once.
        on_progress: called every `progress_interval` frames, by several threads. What it raises
            ends the work.

    Raises:
        NotCuttableError: the part is not what was planned.
        MediaError: the file can't be read.
        Exception: whatever `on_progress` raises.
    """
    runs = split_into_runs(drawing.part, annotated=drawing.linked is not None)
    ended = threading.Event()

    def check_in() -> None:
        if ended.is_set():
            raise StoppedError
        on_progress()

    with ThreadPoolExecutor(min(lanes, len(runs)), thread_name_prefix="run") as threads:
        # Log lines carry the same context; a new thread starts with an empty one.
        futures = [
            threads.submit(contextvars.copy_context().run, _draw, drawing, run, check_in)
            for run in runs
        ]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            ended.set()  # if one has failed, stop the others
    for future in futures:
        error = future.exception()
        if error is not None and not isinstance(error, StoppedError):
            raise error


def _draw(drawing: Drawing, run: Run, on_progress: Callable[[], None]) -> None:
    shots = _shots_of(run, drawing.shots)
    with ExitStack() as opened:
        reader = opened.enter_context(
            open_part(drawing.source, drawing.part, max_pixels=drawing.max_pixels)
        )
        thumbnails = opened.enter_context(Thumbnails(drawing.out))
        faces, copy = None, None
        if drawing.linked is not None:
            faces = _ShownFaces(drawing.linked)
            copy = opened.enter_context(RunCopy(run, drawing.out, reader.info))
        for frame in _frames_of(run, reader, drawing.progress_interval, on_progress):
            thumbnails.add(frame, shots.pop(frame.index, ()), analysed=True)
            if faces is not None and copy is not None:
                copy.add(frame, faces.at(frame.index))
            elif not shots:
                break
        if copy is not None:
            copy.finish()


def _shots_of(run: Run, shots: Sequence[BestShot]) -> dict[int, list[Face]]:
    """The best shots in the run, by frame index."""
    by_frame: dict[int, list[Face]] = {}
    for shot in shots:
        if shot.frame_index in run:
            by_frame.setdefault(shot.frame_index, []).append(_face(shot))
    return by_frame


class _ShownFaces:
    """The faces shown in each frame: those of the last frame that was analysed."""

    def __init__(self, path: Path) -> None:
        self._frames = read_linked(path)
        self._next = next(self._frames, None)
        self._faces: list[Face] = []

    def at(self, index: int) -> list[Face]:
        """The faces of this frame. Must be called with ascending indices."""
        while self._next is not None and self._next[0] <= index:
            self._faces = self._next[1]
            self._next = next(self._frames, None)
        return self._faces


def _frames_of(
    run: Run, reader: FrameReader, progress_interval: int, on_progress: Callable[[], None]
) -> Iterator[Frame]:
    """The run's frames, as far as the file can be read.

    That a file is truncated is not reported here: the find stage has done so.
    """
    try:
        for count, frame in enumerate(reader):
            if count % progress_interval == 0:
                on_progress()
            if frame.index in run:
                yield frame
            elif frame.index > run.first_frame:
                return
    except TruncatedError:
        return


def _face(shot: BestShot) -> Face:
    record = FaceRecord(
        shot.frame_index, shot.time_ms, 0, shot.track, shot.box_xyxy, score=1.0, attributes={}
    )
    return Face(record, {}, {}, quality=1.0)
