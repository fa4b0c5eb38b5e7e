"""Files that pass faces of one part of a video between stages: JSON Lines, one line per frame."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from faces_jobs.jobs.records import FaceRecord, TrackRecord
from faces_jobs.pipeline.linking import FoundFace, FoundFrame
from faces_jobs.pipeline.tracking import Scene, is_cut, scene_of
from faces_jobs.pipeline.values import Face, Frame
from faces_jobs.pipeline.voting import UnsureBelow, best_labels
from faces_jobs.sinks.lines import (
    attributes_from_values,
    attributes_to_values,
    face_from_values,
    face_to_values,
)
from faces_jobs.storage import raising_storage_full


class Findings:
    """A `Sink` that writes what tracking and voting need of each frame. Open it with `with`."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        """Write to `path`, beginning with `header`: JSON values that apply to all frames."""
        self._path = path
        self._header = header
        self._file: IO[str] | None = None
        self._scene: Scene | None = None  # of the last frame
        self._pending: dict[str, Any] | None = None  # the last frame, not written yet

    def __enter__(self) -> Self:
        with raising_storage_full():
            self._file = self._path.open("x", encoding="utf-8")
            self._file.write(json.dumps(self._header) + "\n")
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            with raising_storage_full():
                file.close()

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:
        """Write the faces of an analysed frame.

        Raises:
            StorageFullError: the disk is full.
        """
        if not analysed:
            return
        self._write_pending()
        scene = scene_of(frame.picture_bgr)
        self._pending = {
            "frame": [frame.index, frame.time_ms, is_cut(self._scene, scene)],
            "faces": [_values_of(face) for face in faces],
        }
        if self._scene is None:
            self._pending["scene"] = _encode_scene(scene)
        self._scene = scene

    def finish(self, tracks: Sequence[TrackRecord]) -> None:  # noqa: ARG002 (a sink's signature)
        """Write the last frame. The tracks are not used: they are of this part alone."""
        if self._pending is not None and self._scene is not None:
            self._pending["scene"] = _encode_scene(self._scene)
        self._write_pending()

    def _write_pending(self) -> None:
        if self._pending is None or self._file is None:
            return
        with raising_storage_full():
            self._file.write(json.dumps(self._pending) + "\n")
        self._pending = None


def read_header(path: Path) -> dict[str, Any]:
    """Read the header that `Findings` wrote."""
    with path.open(encoding="utf-8") as file:
        return dict(json.loads(file.readline()))


def read_findings(path: Path, unsure_below: UnsureBelow) -> Iterator[FoundFrame]:
    """Read the analysed frames of a part, in order, as written by `Findings`."""
    with path.open(encoding="utf-8") as file:
        file.readline()  # the header
        for line in file:
            line_values = json.loads(line)
            index, time_ms, begins_scene = line_values["frame"]
            yield FoundFrame(
                index=index,
                time_ms=time_ms,
                faces=[
                    _found_face(index, time_ms, face_index, values, unsure_below)
                    for face_index, values in enumerate(line_values["faces"])
                ],
                begins_scene=begins_scene,
                scene=_decode_scene(line_values["scene"]) if "scene" in line_values else None,
            )


def write_linked(path: Path, frames: Iterable[tuple[int, Sequence[Face]]]) -> None:
    """Write linked faces for drawing, frame by frame.

    Raises:
        StorageFullError: the disk is full.
    """
    with raising_storage_full(), path.open("x", encoding="utf-8") as file:
        for index, faces in frames:
            values = [
                [face_to_values(face.record), attributes_to_values(face.settled)] for face in faces
            ]
            file.write(json.dumps([index, values]) + "\n")


def read_linked(path: Path) -> Iterator[tuple[int, list[Face]]]:
    """Read the frames that `write_linked` wrote: each one's index and faces, ready to be drawn."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            index, values = json.loads(line)
            yield (
                index,
                [
                    Face(face_from_values(face, {}), {}, attributes_from_values(settled))
                    for face, settled in values
                ],
            )


def _values_of(face: Face) -> list[Any]:
    opinion = {head: np.asarray(p, np.float32).tolist() for head, p in face.opinion.items()}
    return [*face.record.box_xyxy, face.record.score, face.quality, opinion]


def _found_face(
    index: int, time_ms: float, face_index: int, values: list[Any], unsure_below: UnsureBelow
) -> FoundFace:
    left, top, right, bottom, score, quality, probabilities = values
    opinion = {head: np.array(p, np.float32) for head, p in probabilities.items()}
    record = FaceRecord(
        frame_index=index,
        time_ms=time_ms,
        face_index=face_index,
        track=0,
        box_xyxy=(left, top, right, bottom),
        score=score,
        attributes=best_labels(opinion, unsure_below),
    )
    return FoundFace(record, opinion, quality)


def _encode_scene(scene: Scene) -> str:
    return base64.b64encode(scene.astype(np.uint8).tobytes()).decode("ascii")


def _decode_scene(text: str) -> Scene:
    levels = np.frombuffer(base64.b64decode(text), np.uint8).astype(np.float32)
    side = round(len(levels) ** 0.5)
    return levels.reshape(side, side)
