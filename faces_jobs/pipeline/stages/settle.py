"""The last stage: counts each track's votes, in order, and feeds the sinks."""

from __future__ import annotations

from collections.abc import Sequence

from faces_jobs.jobs.records import FaceRecord, TrackRecord
from faces_jobs.pipeline.batches import Batch, PendingFace
from faces_jobs.pipeline.protocols import Sink
from faces_jobs.pipeline.quality import shot_quality
from faces_jobs.pipeline.timing import StageTimer
from faces_jobs.pipeline.values import Face
from faces_jobs.pipeline.voting import UnsureBelow, Votes, best_labels


class SettleStage:
    """Settles the attributes of one item and feeds its sinks. Batches must come in order."""

    def __init__(self, sinks: Sequence[Sink], unsure_below: UnsureBelow, timer: StageTimer) -> None:
        self._sinks = sinks
        self._unsure_below = unsure_below
        self._timer = timer
        self._votes = Votes(unsure_below)
        self._last_faces: list[Face] = []  # those of the last analysed frame
        self.frames_read = self.frames_analysed = self.faces = 0

    def settle(self, batch: Batch) -> None:
        """Pass each frame of the batch, with its faces, to the sinks."""
        for frame in batch.frames:
            is_analysed = frame.index in batch.faces_by_frame
            if is_analysed:
                with self._timer.measure("vote"):
                    self._last_faces = [
                        self._vote(face) for face in batch.faces_by_frame[frame.index]
                    ]
                self.frames_analysed += 1
                self.faces += len(self._last_faces)
            for sink in self._sinks:
                with self._timer.measure(type(sink).__name__):
                    sink.add(frame, self._last_faces, analysed=is_analysed)
            self.frames_read += 1

    def finish(self) -> list[TrackRecord]:
        """Pass the tracks of the item to the sinks, and return them."""
        tracks = self._votes.tracks()
        for sink in self._sinks:
            with self._timer.measure(type(sink).__name__):
                sink.finish(tracks)
        return tracks

    def _vote(self, face: PendingFace) -> Face:
        record = FaceRecord(
            frame_index=face.frame.index,
            time_ms=face.frame.time_ms,
            face_index=face.face_index,
            track=face.track,
            box_xyxy=face.box_xyxy,
            score=float(face.detections.scores[face.detection]),
            attributes=best_labels(face.opinion, self._unsure_below),
        )
        landmarks = face.detections.landmarks
        quality = shot_quality(
            record.box_xyxy,
            score=record.score,
            sharpness=face.sharpness,
            landmarks=None if landmarks is None else landmarks[face.detection],
            opinion=face.opinion,
        )
        settled = self._votes.add(record, face.opinion, quality)
        return Face(record, face.opinion, settled, quality)
