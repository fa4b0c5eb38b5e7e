"""Draws the pictures of one part, its runs side by side where there are cores for it."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from faces_jobs.db.part_queries import BestShot
from faces_jobs.errors import TruncatedError
from faces_jobs.jobs.records import FaceRecord
from faces_jobs.pipeline.conveyor import StoppedError
from faces_jobs.pipeline.cut_plan import Part
from faces_jobs.pipeline.frames import open_part
from faces_jobs.pipeline.stages import FrameReader
from faces_jobs.pipeline.values import Face, Frame
from faces_jobs.sinks.findings import read_linked
from faces_jobs.sinks.thumbnails import Thumbnails
from faces_jobs.worker.encode_runs import Run, RunCopy, runs_of


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is to be drawn of a part, and where it goes."""

    source: Path
    part: Part
    shots: Sequence[BestShot]
    linked: Path | None  # the faces to be shown; None: no copy is wanted
    out: Path  # the folder
    max_pixels: int
    every: int  # frames between two calls of `on_progress`


def draw_part(drawing: Drawing, *, lanes: int, on_progress: Callable[[], None]) -> None:
    """Write `<track>.jpg` of each best shot; with faces to be shown `<run>.nut` of each run, too.

    Beside that one `<run>.json` tells how long its last picture is shown.

    Args:
        drawing: what, and where to.
        lanes: runs that may be drawn at once.
        on_progress: called after each so many frames, by several threads. What it raises ends
            the work.

    Raises:
        NotCuttableError: the part is not what was planned.
        MediaError: the reader can't go on.
    """
    runs = runs_of(drawing.part, copied=drawing.linked is not None)
    ended = threading.Event()

    def go_on() -> None:
        if ended.is_set():
            raise StoppedError
        on_progress()

    with ThreadPoolExecutor(min(lanes, len(runs)), thread_name_prefix="run") as threads:
        # Their log lines are about the same work: a thread begins with an empty context.
        futures = [
            threads.submit(contextvars.copy_context().run, _draw, drawing, run, go_on)
            for run in runs
        ]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            ended.set()  # where one has failed the others are to end
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
            faces = _Shown(drawing.linked)
            copy = opened.enter_context(RunCopy(run, drawing.out, reader.info))
        for frame in _frames_of(run, reader, drawing.every, on_progress):
            thumbnails.add(frame, shots.pop(frame.index, ()), analysed=True)
            if faces is not None and copy is not None:
                copy.add(frame, faces.at(frame.index))
            elif not shots:
                break
        if copy is not None:
            copy.finish()


def _shots_of(run: Run, shots: Sequence[BestShot]) -> dict[int, list[Face]]:
    """Those that are in the run, by frame."""
    by_frame: dict[int, list[Face]] = {}
    for shot in shots:
        if shot.frame_index in run:
            by_frame.setdefault(shot.frame_index, []).append(_face(shot))
    return by_frame


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


def _frames_of(
    run: Run, reader: FrameReader, every: int, on_progress: Callable[[], None]
) -> Iterator[Frame]:
    """The run's frames, up to where the file breaks off, which was told when faces were found."""
    try:
        for count, frame in enumerate(reader):
            if count % every == 0:
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
