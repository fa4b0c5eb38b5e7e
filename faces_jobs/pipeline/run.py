"""One item from its frames to its sinks: detect, track, crop, classify, vote, in batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from faces_jobs.errors import TruncatedError
from faces_jobs.jobs.records import FaceRecord
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.crops import crop_faces
from faces_jobs.pipeline.quality import shot_quality
from faces_jobs.pipeline.sampling import Sampling
from faces_jobs.pipeline.stages import Classifier, Detector, FrameReader, Sink, Tracker
from faces_jobs.pipeline.unsure import thresholds_of
from faces_jobs.pipeline.values import Detections, Face, Frame, Opinion, Picture, RunReport
from faces_jobs.pipeline.voting import UnsureBelow, Votes, best_labels

Progress = Callable[[int, int | None], None]
"""Called with the frames that are done and those there are (None: not known)."""


def run_item(
    reader: FrameReader,
    *,
    detector: Detector,
    tracker: Tracker,
    classifiers: Sequence[Classifier],
    spec: JobSpec,
    sinks: Sequence[Sink],
    batch_size: int,
    on_progress: Progress,
    unsure_below: str = "",
) -> RunReport:
    """Work through one item and hand each of its frames, then its tracks, to the sinks.

    Results don't depend on `batch_size`. Memory is that of one batch of frames and their crops.
    Sinks, like the reader, are opened and closed by whoever made them.

    Args:
        reader: the item's frames; iterated once.
        detector: finds faces; those below the spec's threshold or size are left out.
        tracker: a new one for this item.
        classifiers: those whose model the spec has switched off are not asked.
        spec: the job's options.
        sinks: take every frame; one that is not analysed comes with the
            faces of the last that was.
        batch_size: frames that are held at once.
        on_progress: called after each batch. What it raises (`CancelledError`, ...) ends the run.
        unsure_below: the setting of that name: below which probability answers are `unsure`
            where the spec does not say it. Empty: each model's own.

    Returns:
        The counts, with `truncated` set where the file broke off: its sinks are finished too.

    Raises:
        TruncatedError: not one frame was whole.
        MediaError: the reader can't go on.
    """
    asked = [each for each in classifiers if each.name in spec.models]
    run = _Run(
        detector=detector,
        tracker=tracker,
        classifiers=asked,
        spec=spec,
        sinks=sinks,
        unsure_below={
            head: threshold
            for each in asked
            for head, threshold in thresholds_of(each, unsure_below, spec.unsure_below).items()
        },
    )
    total = reader.info.frame_count
    frames = iter(reader)
    truncated: TruncatedError | None = None
    while truncated is None:
        batch: list[Frame] = []
        with run.stage("decode"):
            try:
                batch.extend(_take(frames, batch_size))
            except _BrokenOffError as broken:
                batch, truncated = broken.frames, broken.error
        if not batch:
            break
        run.work_on(batch)
        on_progress(run.frames_read, None if total is None else max(total, run.frames_read))
    if truncated is not None and not run.frames_read:
        raise truncated
    tracks = run.votes.tracks()
    for sink in sinks:
        with run.stage(type(sink).__name__):
            sink.finish(tracks)
    return RunReport(
        frames_read=run.frames_read,
        frames_analysed=run.frames_analysed,
        faces=run.faces,
        tracks=len(tracks),
        truncated=truncated,
        stage_seconds=dict(run.seconds),
    )


class _BrokenOffError(Exception):
    """The file broke off in the midst of a batch: these frames came before."""

    def __init__(self, frames: list[Frame], error: TruncatedError) -> None:
        super().__init__(str(error))
        self.frames = frames
        self.error = error


def _take(frames: Iterator[Frame], count: int) -> list[Frame]:
    taken: list[Frame] = []
    try:
        while len(taken) < count and (frame := next(frames, None)) is not None:
            taken.append(frame)
    except TruncatedError as error:
        raise _BrokenOffError(taken, error) from error
    return taken


@dataclass(slots=True)
class _Seen:
    """One face of one frame, on its way to a record."""

    frame: Frame
    detections: Detections
    detection: int
    track: int
    face_index: int
    opinion: dict[str, np.ndarray] = field(default_factory=dict)

    def record(self, unsure_below: UnsureBelow) -> FaceRecord:
        left, top, right, bottom = (
            float(side) for side in self.detections.boxes_xyxy[self.detection]
        )
        return FaceRecord(
            frame_index=self.frame.index,
            time_ms=self.frame.time_ms,
            face_index=self.face_index,
            track=self.track,
            box_xyxy=(left, top, right, bottom),
            score=float(self.detections.scores[self.detection]),
            attributes=best_labels(self.opinion, unsure_below),
        )


@dataclass
class _Run:
    detector: Detector
    tracker: Tracker
    classifiers: Sequence[Classifier]
    spec: JobSpec
    sinks: Sequence[Sink]
    unsure_below: UnsureBelow

    def __post_init__(self) -> None:
        self.votes = Votes(self.unsure_below)
        self.sampling = Sampling(self.spec)
        self.seconds: dict[str, float] = {}
        self.shown: list[Face] = []  # of the last frame that was analysed
        self.frames_read = self.frames_analysed = self.faces = 0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def work_on(self, batch: list[Frame]) -> None:
        analysed = [frame for frame in batch if self.sampling.takes(frame)]
        seen = self._find(analysed)
        self._judge([face for faces in seen.values() for face in faces])
        for frame in batch:
            is_analysed = frame.index in seen
            if is_analysed:
                with self.stage("vote"):
                    self.shown = [self._vote(face) for face in seen[frame.index]]
                self.frames_analysed += 1
                self.faces += len(self.shown)
            for sink in self.sinks:
                with self.stage(type(sink).__name__):
                    sink.add(frame, self.shown, analysed=is_analysed)
            self.frames_read += 1

    def _find(self, frames: list[Frame]) -> dict[int, list[_Seen]]:
        """The faces of each frame, by its index, left to right."""
        if not frames:
            return {}
        with self.stage("detect"):
            found = self.detector.detect([frame.picture_bgr for frame in frames])
        seen: dict[int, list[_Seen]] = {}
        with self.stage("track"):
            for frame, detections in zip(frames, found, strict=True):
                kept = wanted(detections, self.spec)
                numbers = self.tracker.update(frame, kept)
                order = np.lexsort(kept.boxes_xyxy.T[::-1]).tolist()
                seen[frame.index] = [
                    _Seen(frame, kept, detection, numbers[detection], face_index)
                    for face_index, detection in enumerate(order)
                ]
        return seen

    def _judge(self, faces: list[_Seen]) -> None:
        """Ask each classifier about all faces of the batch at once."""
        for classifier in self.classifiers:
            crops: list[Picture] = []
            with self.stage("crop"):
                for face in faces:
                    crops += crop_faces(
                        face.frame.picture_bgr,
                        face.detections.boxes_xyxy[face.detection : face.detection + 1],
                        scale=classifier.crop_scale,
                        size=classifier.crop_size,
                    )
            with self.stage("classify"):
                opinions: list[Opinion] = classifier.classify(crops) if crops else []
            for face, opinion in zip(faces, opinions, strict=True):
                face.opinion.update(opinion)

    def _vote(self, face: _Seen) -> Face:
        record = face.record(self.unsure_below)
        landmarks = face.detections.landmarks
        quality = shot_quality(
            face.frame.picture_bgr,
            record.box_xyxy,
            score=record.score,
            landmarks=None if landmarks is None else landmarks[face.detection],
            opinion=face.opinion,
        )
        settled = self.votes.add(record, face.opinion, quality)
        return Face(record, face.opinion, settled, quality)


def wanted(detections: Detections, spec: JobSpec) -> Detections:
    """Those that reach the spec's threshold and whose shorter side reaches its smallest face."""
    boxes = detections.boxes_xyxy
    sides = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf)
    kept = (detections.scores >= spec.detection_threshold) & (sides >= spec.smallest_face)
    return Detections(
        boxes[kept],
        detections.scores[kept],
        None if detections.landmarks is None else detections.landmarks[kept],
    )
