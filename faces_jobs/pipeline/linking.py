"""Links the faces of a video's parts to tracks, exactly as one run over the whole video does.

What is stored of a part is all that tracking and voting depend on: boxes, scene cuts, opinions and
qualities. So linking needs no decoding and no network, and no heuristic where two parts meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from faces_jobs.jobs.records import FaceRecord, TrackRecord
from faces_jobs.pipeline.tracking import OverlapTracker, Scene, is_cut
from faces_jobs.pipeline.values import Face, Opinion
from faces_jobs.pipeline.voting import UnsureBelow, Votes


@dataclass(frozen=True, slots=True, eq=False)
class FoundFace:
    """A face of one part. The `track` of its record is not valid yet."""

    record: FaceRecord
    opinion: Opinion
    quality: float


@dataclass(frozen=True, slots=True, eq=False)
class FoundFrame:
    """An analysed frame of one part, with its faces from left to right.

    `scene` is only stored for the first and last frame of a part; between, `begins_scene` suffices.
    """

    index: int
    time_ms: float
    faces: Sequence[FoundFace]
    begins_scene: bool = False
    scene: Scene | None = None


class Linker:
    """Links the parts of one item, in order. Memory: a few numbers per track."""

    def __init__(self, unsure_below: UnsureBelow) -> None:
        self._tracker = OverlapTracker()
        self._votes = Votes(unsure_below)
        self._scene: Scene | None = None

    def link_part(self, part: Iterable[FoundFrame]) -> Iterator[tuple[int, list[Face]]]:
        """Yield the index of each analysed frame of the next part, and its linked faces."""
        for frame in part:
            yield frame.index, self.link_frame(frame)

    def link_frame(self, frame: FoundFrame) -> list[Face]:
        """Return the faces of the next analysed frame, with tracks and settled attributes."""
        begins_scene = frame.begins_scene
        if self._scene is not None and frame.scene is not None:  # mainly where two parts meet
            begins_scene = is_cut(self._scene, frame.scene)
        self._scene = frame.scene
        boxes = np.array([face.record.box_xyxy for face in frame.faces], np.float64)
        numbers = self._tracker.link(frame.time_ms, boxes.reshape(-1, 4), begins_scene=begins_scene)
        return [self._vote(face, track) for face, track in zip(frame.faces, numbers, strict=True)]

    def tracks(self) -> list[TrackRecord]:
        """Return the records of all tracks, sorted by number."""
        return self._votes.tracks()

    def _vote(self, found: FoundFace, track: int) -> Face:
        record = replace(found.record, track=track)
        settled = self._votes.add(record, found.opinion, found.quality)
        return Face(record, found.opinion, settled, found.quality)
