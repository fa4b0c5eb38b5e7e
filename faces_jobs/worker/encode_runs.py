"""The runs of frames in which a part's pictures are encoded, and the files of one run.

One encoder keeps no more than a core at work. A part is divided by its number of frames alone, so
that its copy is the same however many cores draw it, and when.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from faces_jobs.pipeline.cut_plan import Part
from faces_jobs.pipeline.values import Face, Frame, MediaInfo
from faces_jobs.sinks.joined import PART_FORMAT, PART_SUFFIX
from faces_jobs.sinks.video import AnnotatedVideo

RUNS_A_PART = 2
# The second run decodes what comes before it as well, so the first one is given more to draw.
FIRST_SHARE = 0.55
FEWEST_FRAMES = 60  # of a part that is divided: a run begins with a key frame, which takes room


@dataclass(frozen=True, slots=True)
class Run:
    """Frames of a part with an encoder of their own; `number` is among the runs of all parts."""

    number: int
    first_frame: int
    end_frame: int | None  # None: all that follow

    def __contains__(self, frame_index: int) -> bool:
        """Whether a frame is drawn in it."""
        ended = self.end_frame is not None and frame_index >= self.end_frame
        return frame_index >= self.first_frame and not ended


def runs_of(part: Part, *, copied: bool) -> list[Run]:
    """The runs in which a part is drawn, in order."""
    first = RUNS_A_PART * part.number
    if not copied or part.frames < FEWEST_FRAMES:
        return [Run(first, part.first_frame, None)]
    middle = part.first_frame + round(FIRST_SHARE * part.frames)
    return [Run(first, part.first_frame, middle), Run(first + 1, middle, None)]


def part_of(run_number: int) -> int:
    """The number of the part that a run belongs to."""
    return run_number // RUNS_A_PART


class RunCopy:
    """Writes `<run>.nut`, and `<run>.json`: how long its last picture is shown.

    Open it with `with`; frames come in order. Both files are there once it was finished.
    """

    def __init__(self, run: Run, folder: Path, info: MediaInfo) -> None:
        """Write into this folder; `info` is of the source.

        Raises:
            StorageFullError: there is no room.
        """
        self._stem = folder / str(run.number)
        path = self._stem.with_suffix(PART_SUFFIX)
        self._video = AnnotatedVideo(path, info=info, format=PART_FORMAT)
        self._last: Frame | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._video.__exit__(kind, error, trace)

    def add(self, frame: Frame, faces: Sequence[Face]) -> None:
        """Have a frame drawn and encoded, as `AnnotatedVideo` does."""
        self._video.add(frame, faces, analysed=True)
        self._last = frame

    def finish(self) -> None:
        """Encode what is left. A run without a frame leaves no file.

        Raises:
            StorageFullError: there is no room for it.
        """
        if self._last is None:
            return
        self._video.finish([])
        length = {"last_duration_ms": self._last.duration_ms or 0.0}
        self._stem.with_suffix(".json").write_text(json.dumps(length), encoding="utf-8")
