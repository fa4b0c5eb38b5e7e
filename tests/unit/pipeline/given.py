"""A fake frame reader, a recording sink, and a run of the pipeline over them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from faces_jobs.jobs.records import TrackRecord
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.run import run_item
from faces_jobs.pipeline.values import Face, Frame, MediaInfo, RunReport
from tests.clips import Picture
from tests.fakes import analysis

SMALL = JobSpec(smallest_face=4)


class FakeReader:
    """A frame reader over generated pictures; `errors` maps frame indices to what they raise."""

    damaged_frames = 0

    def __init__(
        self,
        pictures: Iterator[Picture],
        width: int,
        height: int,
        errors: dict[int, Exception],
        *,
        kind: str = "video",
    ) -> None:
        self._pictures = pictures
        self._errors = errors
        self.frames_read = 0
        self.info = MediaInfo(kind, "mov", width, height, None, None, None, False)

    def __iter__(self) -> Iterator[Frame]:
        for index, picture in enumerate(self._pictures):
            if index in self._errors:
                raise self._errors[index]
            self.frames_read += 1
            yield Frame(index, index * 40.0, picture)


class RecordingSink:
    """A sink that records every face, bit for bit."""

    def __init__(self) -> None:
        self.frames: list[int] = []
        self.rows: list[Any] = []
        self.tracks: Sequence[TrackRecord] | None = None

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:
        self.frames.append(frame.index)
        for face in faces:
            opinion = {head: p.tobytes() for head, p in face.opinion.items()}
            self.rows.append((face.record, face.settled, face.quality, opinion, analysed))

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        self.tracks = tracks


def run(
    reader: FakeReader,
    *sinks: Any,
    lanes: int,
    batch_size: int = 4,
    on_progress: Any = lambda _done, _total: None,
    spec: JobSpec = SMALL,
    **parts: Any,
) -> RunReport:
    """Run the pipeline with the fake networks of `tests.fakes`, unless `parts` replace them."""
    return run_item(
        reader,
        analysis(spec, **parts),
        sinks,
        batch_size=batch_size,
        lanes=lanes,
        on_progress=on_progress,
    )


def running_threads() -> list[str]:
    """Return the names of the pipeline's threads that are still running."""
    return [one.name for one in threading.enumerate() if one.name in {"decode", "lane"}]
