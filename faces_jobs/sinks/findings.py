"""What one part of a video gave, as files between the stages: lines of JSON, one a frame."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from faces_jobs.jobs.records import FaceRecord, TrackRecord
from faces_jobs.pipeline.linking import FoundFace, FoundFrame
from faces_jobs.pipeline.tracking import Scene, is_cut, scene_of
from faces_jobs.pipeline.values import Face, Frame
from faces_jobs.pipeline.voting import UnsureBelow, best_labels
from faces_jobs.sinks.lines import attributes_of, face_of, values_of_attributes, values_of_face
from faces_jobs.storage import raising_storage_full


class Findings:
    """A `Sink` that keeps all that tracking and voting go by. Open it with `with`."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        """Write to `path`, first the header: what is the same for all frames, as JSON."""
        self._path = path
        self._header = header
        self._file: IO[str] | None = None
        self._scene: Scene | None = None
        self._held: dict[str, Any] | None = None  # the last frame, which keeps its scene

    def __enter__(self) -> Self:
        with raising_storage_full():
            self._file = self._path.open("x", encoding="utf-8")
            self._file.write(json.dumps(self._header) + "\n")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            with raising_storage_full():
                file.close()

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:
        """Keep the faces of an analysed frame.

        Raises:
            StorageFullError: there is no room for them.
        """
        if not analysed:
            return
        self._write_held()
        scene = scene_of(frame.picture_bgr)
        self._held = {
            "frame": [frame.index, frame.time_ms, is_cut(self._scene, scene)],
            "faces": [_found(face) for face in faces],
        }
        if self._scene is None:
            self._held["scene"] = _text(scene)
        self._scene = scene

    def finish(self, tracks: Sequence[TrackRecord]) -> None:  # noqa: ARG002 (a sink's signature)
        """Write the last frame. The tracks are of this part alone, and of no use."""
        if self._held is not None and self._scene is not None:
            self._held["scene"] = _text(self._scene)
        self._write_held()

    def _write_held(self) -> None:
        if self._held is None or self._file is None:
            return
        with raising_storage_full():
            self._file.write(json.dumps(self._held) + "\n")
        self._held = None


def read_header(path: Path) -> dict[str, Any]:
    """The header that `Findings` was given."""
    with path.open(encoding="utf-8") as file:
        return dict(json.loads(file.readline()))


def read_findings(path: Path, unsure_below: UnsureBelow) -> Iterator[FoundFrame]:
    """The analysed frames of a part, in order, as `Findings` kept them."""
    with path.open(encoding="utf-8") as file:
        file.readline()  # the header
        for line in file:
            found = json.loads(line)
            index, time_ms, begins_scene = found["frame"]
            yield FoundFrame(
                index=index,
                time_ms=time_ms,
                faces=[
                    _face(index, time_ms, place, face, unsure_below)
                    for place, face in enumerate(found["faces"])
                ],
                begins_scene=begins_scene,
                scene=_scene(found["scene"]) if "scene" in found else None,
            )


def write_linked(path: Path, frames: Iterable[tuple[int, Sequence[Face]]]) -> None:
    """Write linked faces as they are to be drawn, frame by frame."""
    with raising_storage_full(), path.open("x", encoding="utf-8") as file:
        for index, faces in frames:
            shown = [
                [values_of_face(face.record), values_of_attributes(face.settled)] for face in faces
            ]
            file.write(json.dumps([index, shown]) + "\n")


def read_linked(path: Path) -> Iterator[tuple[int, list[Face]]]:
    """The index of each frame that `write_linked` was given, and its faces, fit to be drawn."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            index, shown = json.loads(line)
            yield (
                index,
                [Face(face_of(face, {}), {}, attributes_of(settled)) for face, settled in shown],
            )


def _found(face: Face) -> list[Any]:
    opinion = {head: np.asarray(p, np.float32).tolist() for head, p in face.opinion.items()}
    return [*face.record.box_xyxy, face.record.score, face.quality, opinion]


def _face(
    index: int, time_ms: float, face_index: int, found: list[Any], unsure_below: UnsureBelow
) -> FoundFace:
    left, top, right, bottom, score, quality, opinion = found
    judged = {head: np.array(p, np.float32) for head, p in opinion.items()}
    record = FaceRecord(
        frame_index=index,
        time_ms=time_ms,
        face_index=face_index,
        track=0,
        box_xyxy=(left, top, right, bottom),
        score=score,
        attributes=best_labels(judged, unsure_below),
    )
    return FoundFace(record, judged, quality)


def _text(scene: Scene) -> str:
    return base64.b64encode(scene.astype(np.uint8).tobytes()).decode("ascii")


def _scene(text: str) -> Scene:
    levels = np.frombuffer(base64.b64decode(text), np.uint8).astype(np.float32)
    side = round(len(levels) ** 0.5)
    return levels.reshape(side, side)
