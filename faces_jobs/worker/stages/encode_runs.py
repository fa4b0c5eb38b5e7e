"""Runs: how the frames of a part are divided between encoders, and the files of one run.

One encoder uses at most one core. How a part is divided depends on its number of frames alone, so
that its copy is the same however many cores draw it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from faces_jobs.pipeline.cutting.plan import Part
from faces_jobs.pipeline.values import Face, Frame, MediaInfo
from faces_jobs.sinks.joined import PART_FORMAT, PART_SUFFIX
from faces_jobs.sinks.video import AnnotatedVideo

RUNS_PER_PART = 2
# The second run also has to decode the first one's frames, so the first one gets more to draw.
FIRST_RUN_SHARE = 0.55
MIN_FRAMES = 60  # of a part that is divided: each run starts with a key frame, which is large


@dataclass(frozen=True, slots=True)
class Run:
    """Frames of a part with an encoder of their own; `number` is unique within the item."""

    number: int
    first_frame: int
    end_frame: int | None  # None: all that follow

    def __contains__(self, frame_index: int) -> bool:
        """Whether the run contains this frame."""
        is_past_end = self.end_frame is not None and frame_index >= self.end_frame
        return frame_index >= self.first_frame and not is_past_end


def split_into_runs(part: Part, *, annotated: bool) -> list[Run]:
    """The runs of a part, in order: one if no annotated copy is encoded, or the part is short."""
    first = RUNS_PER_PART * part.number
    if not annotated or part.frames < MIN_FRAMES:
        return [Run(first, part.first_frame, None)]
    middle = part.first_frame + round(FIRST_RUN_SHARE * part.frames)
    return [Run(first, part.first_frame, middle), Run(first + 1, middle, None)]


def part_number_of(run_number: int) -> int:
    """The number of the part that a run belongs to."""
    return run_number // RUNS_PER_PART


class RunCopy:
    """Writes `<run>.nut`, the encoded frames, and `<run>.json`, the duration of the last frame.

    A context manager. Frames are added in order; both files are complete after `finish`.
    """

    def __init__(self, run: Run, folder: Path, info: MediaInfo) -> None:
        """Write into this folder; `info` describes the source.

        Raises:
            StorageFullError: the disk is full.
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
        """Draw and encode a frame; see `AnnotatedVideo.add`."""
        self._video.add(frame, faces, analysed=True)
        self._last = frame

    def finish(self) -> None:
        """Encode what is left. A run without frames leaves no file.

        Raises:
            StorageFullError: the disk is full.
        """
        if self._last is None:
            return
        self._video.finish([])
        length = {"last_duration_ms": self._last.duration_ms or 0.0}
        self._stem.with_suffix(".json").write_text(json.dumps(length), encoding="utf-8")
