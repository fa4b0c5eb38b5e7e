"""Failing stages: their own error is raised, all threads end, and no more work is done."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from faces_jobs.errors import TruncatedError
from faces_jobs.jobs.labels import MODELS
from faces_jobs.jobs.records import Attributes, FaceRecord, TrackRecord
from faces_jobs.pipeline.crops import crop_pictures
from faces_jobs.pipeline.quality import CROP_SIZE
from faces_jobs.pipeline.stages import settle as settle_stage
from faces_jobs.pipeline.tracking import OverlapTracker
from faces_jobs.pipeline.values import Boxes, Detections, Face, Frame, MediaInfo, Opinion
from faces_jobs.pipeline.voting import Votes
from faces_jobs.sinks.video import MAX_PENDING_FRAMES, AnnotatedVideo
from tests import clips
from tests.clips import GREEN, RED, Picture, Square
from tests.fakes import ColourClassifier, SquareDetector
from tests.unit.pipeline.given import FakeReader, RecordingSink, run

FRAMES, BATCH = 120, 4
WIDTH, HEIGHT = 64, 48
STAGES = ["detect", "track", "crop", "classify", "vote", "sink", "finish"]


class BrokenError(Exception):
    """The error that the failing stage raises."""


class FailingStages:
    """All stages except decoding; one of them fails after `at` frames of two faces each."""

    name = "gender"
    heads = MODELS["gender"]
    crop_scale, crop_size = 1.0, 16

    def __init__(self, stage: str, at: int) -> None:
        self._stage, self._at = stage, at
        self._lock = threading.Lock()
        self._counts = dict.fromkeys([*STAGES, "draw", "encode", "progress"], 0.0)
        self._tracker = OverlapTracker()
        self.sink = RecordingSink()
        self.unsure_below: dict[str, float] = {}

    def count(self, stage: str, frames: float) -> None:
        """Count the frames of a stage, and fail if it is the one that should."""
        with self._lock:
            self._counts[stage] += frames
            if stage == self._stage and self._counts[stage] > self._at:
                raise BrokenError(stage)

    @property
    def max_frames(self) -> float:
        """The highest number of frames that any stage has seen."""
        return max(self._counts.values())

    def detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
        self.count("detect", len(pictures_bgr))
        return SquareDetector().detect(pictures_bgr)

    def update(self, frame: Frame, detections: Detections) -> list[int]:
        self.count("track", 1)
        return self._tracker.update(frame, detections)

    def crop(
        self,
        pictures_bgr: Sequence[Picture],
        boxes_xyxy: Sequence[Boxes],
        *,
        scale: float,
        size: int,
    ) -> list[Picture]:
        if size == CROP_SIZE:  # otherwise the same faces are cropped again for a classifier
            self.count("crop", len(pictures_bgr))
        return crop_pictures(pictures_bgr, boxes_xyxy, scale=scale, size=size)

    def classify(self, crops_bgr: Sequence[Picture]) -> list[Opinion]:
        self.count("classify", len(crops_bgr) / 2)
        return ColourClassifier("gender").classify(crops_bgr)

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:
        self.count("sink", 1)
        self.sink.add(frame, faces, analysed=analysed)

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        if self._stage == "finish":
            raise BrokenError("finish")
        self.sink.finish(tracks)

    def progress(self, done: int, _total: int | None) -> None:
        self.count("progress", done - self._counts["progress"])

    def votes(self) -> type[Votes]:
        """Return a subclass of `Votes` that fails in the vote stage."""
        stages = self

        class Failing(Votes):
            def add(self, record: FaceRecord, opinion: Opinion, quality: float) -> Attributes:
                stages.count("vote", 1 / 2)
                return super().add(record, opinion, quality)

        return Failing

    def annotated_video(self, path: Path, info: MediaInfo) -> AnnotatedVideo:
        """Return an annotated video that fails in the draw or encode stage."""
        stages = self

        class Failing(AnnotatedVideo):
            def _draw(self, frame: Frame, faces: Sequence[Face]) -> Any:
                stages.count("draw", 1)
                return super()._draw(frame, faces)

            def _encode(self, *drawn: Any) -> None:
                stages.count("encode", 1)
                super()._encode(*drawn)

        return Failing(path, info=info)


def two_faces() -> Picture:
    return clips.picture(
        [Square(2, 4, 12, RED), Square(40, 20, 12, GREEN)], width=WIDTH, height=HEIGHT
    )


@pytest.fixture
def no_leftover_threads() -> Iterator[None]:
    """Check that no thread outlives the test that started it."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.mark.usefixtures("no_leftover_threads")
@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("at", [0, FRAMES // 2, FRAMES - 1], ids=["first", "middle", "last"])
@pytest.mark.parametrize("stage", ["decode", *STAGES, "draw", "encode", "progress"])
def test_a_stage_that_fails_ends_the_run_with_its_own_error(
    stage: str, at: int, lanes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = FailingStages(stage, at)
    monkeypatch.setattr(settle_stage, "Votes", stages.votes())
    errors: dict[int, Exception] = {at: BrokenError("decode")} if stage == "decode" else {}
    reader = FakeReader(iter([two_faces()] * FRAMES), WIDTH, HEIGHT, errors)
    with ExitStack() as opened:
        sinks: list[Any] = [stages]
        if stage in {"draw", "encode"}:
            sinks.append(
                opened.enter_context(stages.annotated_video(tmp_path / "copy.mp4", reader.info))
            )
        with pytest.raises(BrokenError, match=stage):
            run(
                reader,
                *sinks,
                lanes=lanes,
                batch_size=BATCH,
                detector=stages,
                new_tracker=lambda: stages,
                classifiers=[stages],
                cropper=stages.crop,
                on_progress=stages.progress,
            )
    assert list(tmp_path.iterdir()) == [], "an unfinished copy is removed"
    # The first sink is finished before the one that fails.
    assert stages.sink.tracks is None or (at == FRAMES - 1 and stage in {"draw", "encode"})
    assert stages.sink.frames == list(range(len(stages.sink.frames)))
    if stage in {"decode", "track", "sink"}:
        whole_batches = at if stage == "sink" else at // BATCH * BATCH
        assert len(stages.sink.frames) == whole_batches, (
            "exactly the frames before the failure are kept"
        )
    # The batch that failed, those that the lanes may be ahead of it, and those around them.
    if stage != "finish":
        max_frames = (at // BATCH + 1 + lanes + (lanes + 2)) * BATCH
        max_frames += MAX_PENDING_FRAMES if stage in {"draw", "encode"} else 0
        assert stages.max_frames <= reader.frames_read <= max_frames


@pytest.mark.usefixtures("no_leftover_threads")
def test_the_earliest_of_several_errors_is_raised() -> None:
    class Slow(SquareDetector):
        def detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
            first = bool(pictures_bgr[0].max() == 1)
            if first:
                later_failed.wait(60)
                raise BrokenError("the first batch")
            later_failed.set()
            raise BrokenError("a later batch")

    for _ in range(5):
        later_failed = threading.Event()
        pictures = (clips.picture(background=(1 if n < BATCH else 2,) * 3) for n in range(40))
        with pytest.raises(BrokenError, match="the first batch"):
            run(FakeReader(pictures, WIDTH, HEIGHT, {}), RecordingSink(), lanes=2, detector=Slow())


def run_still(reader: FakeReader, stages: FailingStages) -> None:
    assert reader.info.is_still
    run(
        reader,
        stages,
        lanes=1,
        detector=stages,
        new_tracker=lambda: stages,
        classifiers=[stages],
        cropper=stages.crop,
    )


@pytest.mark.parametrize("stage", STAGES)
def test_a_failing_stage_of_a_still_raises_its_own_error(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = FailingStages(stage, 0)
    monkeypatch.setattr(settle_stage, "Votes", stages.votes())
    with pytest.raises(BrokenError, match=stage):
        run_still(FakeReader(iter([two_faces()]), WIDTH, HEIGHT, {}, kind="image"), stages)
    assert stages.sink.tracks is None
    assert stages.sink.frames == ([0] if stage == "finish" else [])


def test_a_still_truncated_before_its_frame_is_an_error_not_an_empty_result() -> None:
    stages = FailingStages("none", 0)
    error = TruncatedError("it is cut off")
    with pytest.raises(TruncatedError, match="it is cut off") as raised:
        run_still(FakeReader(iter([two_faces()]), WIDTH, HEIGHT, {0: error}, kind="image"), stages)
    assert raised.value is error
    assert stages.sink.frames == []
    assert stages.sink.tracks is None, "no sink mistakes it for an image without faces"
