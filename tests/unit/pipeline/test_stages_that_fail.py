"""Whichever stage fails, at whatever frame: its own error is told, all threads end, work stops."""

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
from faces_jobs.pipeline import settle_stage
from faces_jobs.pipeline.crops import crop_pictures
from faces_jobs.pipeline.quality import CROP_SIZE
from faces_jobs.pipeline.tracking import OverlapTracker
from faces_jobs.pipeline.values import Boxes, Detections, Face, Frame, MediaInfo, Opinion
from faces_jobs.pipeline.voting import Votes
from faces_jobs.sinks.video import MAX_PENDING_FRAMES, AnnotatedVideo
from tests import clips
from tests.clips import GREEN, RED, Picture, Square
from tests.fakes import ColourClassifier, SquareDetector
from tests.unit.pipeline.given import Given, Rows, run

FRAMES, BATCH = 120, 4
WIDTH, HEIGHT = 64, 48
STAGES = ["detect", "track", "crop", "classify", "vote", "sink", "finish"]


class BrokenError(Exception):
    """What the stage that is to fail fails with."""


class FailsAt:
    """Every stage but decoding; the one that is named fails when it has seen `at` frames.

    In each frame there are two faces.
    """

    name = "gender"
    heads = MODELS["gender"]
    crop_scale, crop_size = 1.0, 16

    def __init__(self, stage: str, at: int) -> None:
        self._stage, self._at = stage, at
        self._lock = threading.Lock()
        self._seen = dict.fromkeys([*STAGES, "draw", "encode", "progress"], 0.0)
        self._tracker = OverlapTracker()
        self.sink = Rows()
        self.unsure_below: dict[str, float] = {}

    def seen(self, stage: str, frames: float) -> None:
        """Fail, where it is this stage's turn to."""
        with self._lock:
            self._seen[stage] += frames
            if stage == self._stage and self._seen[stage] > self._at:
                raise BrokenError(stage)

    @property
    def furthest(self) -> float:
        """The most frames that any stage has seen."""
        return max(self._seen.values())

    def detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
        self.seen("detect", len(pictures_bgr))
        return SquareDetector().detect(pictures_bgr)

    def update(self, frame: Frame, detections: Detections) -> list[int]:
        self.seen("track", 1)
        return self._tracker.update(frame, detections)

    def crop(
        self,
        pictures_bgr: Sequence[Picture],
        boxes_xyxy: Sequence[Boxes],
        *,
        scale: float,
        size: int,
    ) -> list[Picture]:
        if size == CROP_SIZE:  # else it is the same faces once more, for a classifier
            self.seen("crop", len(pictures_bgr))
        return crop_pictures(pictures_bgr, boxes_xyxy, scale=scale, size=size)

    def classify(self, crops_bgr: Sequence[Picture]) -> list[Opinion]:
        self.seen("classify", len(crops_bgr) / 2)
        return ColourClassifier("gender").classify(crops_bgr)

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:
        self.seen("sink", 1)
        self.sink.add(frame, faces, analysed=analysed)

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        if self._stage == "finish":
            raise BrokenError("finish")
        self.sink.finish(tracks)

    def progress(self, done: int, _total: int | None) -> None:
        self.seen("progress", done - self._seen["progress"])

    def votes(self) -> type[Votes]:
        """Votes that fail with this stage."""
        fails = self

        class Failing(Votes):
            def add(self, record: FaceRecord, opinion: Opinion, quality: float) -> Attributes:
                fails.seen("vote", 1 / 2)
                return super().add(record, opinion, quality)

        return Failing

    def copy(self, path: Path, info: MediaInfo) -> AnnotatedVideo:
        """An annotated copy that fails with this stage."""
        fails = self

        class Failing(AnnotatedVideo):
            def _draw(self, frame: Frame, faces: Sequence[Face]) -> Any:
                fails.seen("draw", 1)
                return super()._draw(frame, faces)

            def _encode(self, *drawn: Any) -> None:
                fails.seen("encode", 1)
                super()._encode(*drawn)

        return Failing(path, info=info)


def two_faces() -> Picture:
    return clips.picture(
        [Square(2, 4, 12, RED), Square(40, 20, 12, GREEN)], width=WIDTH, height=HEIGHT
    )


@pytest.fixture
def begun() -> Iterator[None]:
    """No thread outlives the test that began it."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.mark.usefixtures("begun")
@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("at", [0, FRAMES // 2, FRAMES - 1], ids=["first", "middle", "last"])
@pytest.mark.parametrize("stage", ["decode", *STAGES, "draw", "encode", "progress"])
def test_a_stage_that_fails_ends_the_run_with_its_own_error(
    stage: str, at: int, lanes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = FailsAt(stage, at)
    monkeypatch.setattr(settle_stage, "Votes", fails.votes())
    raised: dict[int, Exception] = {at: BrokenError("decode")} if stage == "decode" else {}
    reader = Given(iter([two_faces()] * FRAMES), WIDTH, HEIGHT, raised)
    with ExitStack() as opened:
        sinks: list[Any] = [fails]
        if stage in {"draw", "encode"}:
            sinks.append(opened.enter_context(fails.copy(tmp_path / "copy.mp4", reader.info)))
        with pytest.raises(BrokenError, match=stage):
            run(
                reader,
                *sinks,
                lanes=lanes,
                batch_size=BATCH,
                detector=fails,
                new_tracker=lambda: fails,
                classifiers=[fails],
                cropper=fails.crop,
                on_progress=fails.progress,
            )
    assert list(tmp_path.iterdir()) == [], "an unfinished copy is removed"
    # A sink that is asked first is finished before the one that fails.
    assert fails.sink.tracks is None or (at == FRAMES - 1 and stage in {"draw", "encode"})
    assert fails.sink.frames == list(range(len(fails.sink.frames)))
    if stage in {"decode", "track", "sink"}:
        whole_batches = at if stage == "sink" else at // BATCH * BATCH
        assert len(fails.sink.frames) == whole_batches, "what came before is kept, no more"
    # The batch that failed, as many as the lanes may be ahead of it, and those around them.
    if stage != "finish":
        most = (at // BATCH + 1 + lanes + (lanes + 2)) * BATCH
        most += MAX_PENDING_FRAMES if stage in {"draw", "encode"} else 0
        assert fails.furthest <= reader.frames_read <= most


@pytest.mark.usefixtures("begun")
def test_the_earliest_of_several_errors_is_the_one_that_is_told() -> None:
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
        pictures = (clips.picture(ground=(1 if n < BATCH else 2,) * 3) for n in range(40))
        with pytest.raises(BrokenError, match="the first batch"):
            run(Given(pictures, WIDTH, HEIGHT, {}), Rows(), lanes=2, detector=Slow())


def run_one(reader: Given, fails: FailsAt) -> None:
    assert reader.info.is_still
    run(
        reader,
        fails,
        lanes=1,
        detector=fails,
        new_tracker=lambda: fails,
        classifiers=[fails],
        cropper=fails.crop,
    )


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_of_a_still_that_fails_is_told_as_it_is(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = FailsAt(stage, 0)
    monkeypatch.setattr(settle_stage, "Votes", fails.votes())
    with pytest.raises(BrokenError, match=stage):
        run_one(Given(iter([two_faces()]), WIDTH, HEIGHT, {}, kind="image"), fails)
    assert fails.sink.tracks is None
    assert fails.sink.frames == ([0] if stage == "finish" else [])


def test_a_still_that_breaks_off_before_its_frame_is_an_error_and_no_empty_result() -> None:
    fails = FailsAt("none", 0)
    broken = TruncatedError("it breaks off")
    with pytest.raises(TruncatedError, match="it breaks off") as told:
        run_one(Given(iter([two_faces()]), WIDTH, HEIGHT, {0: broken}, kind="image"), fails)
    assert told.value is broken
    assert fails.sink.frames == []
    assert fails.sink.tracks is None, "no sink takes it for one without faces"
