"""One item through the pipeline: what its sinks receive, and its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from faces_jobs.errors import CancelledError, TruncatedError
from faces_jobs.jobs.labels import HEADS, MODELS, UNSURE
from faces_jobs.jobs.records import FaceRecord, TrackRecord
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.run import Progress, run_item
from faces_jobs.pipeline.sampling import Sampling
from faces_jobs.pipeline.values import Face, Frame, RunReport
from tests import clips
from tests.clips import GREEN, RED, Square
from tests.fakes import ColourClassifier, SquareDetector, analysis

ALL = JobSpec(smallest_face=4)


class RecordingSink:
    """A sink that records everything it receives."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, bool, int]] = []
        self.records: list[FaceRecord] = []
        self.best: dict[int, tuple[float, int]] = {}
        self.tracks: Sequence[TrackRecord] | None = None

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:
        assert self.tracks is None, "no frame after the tracks"
        self.frames.append((frame.index, analysed, len(faces)))
        if not analysed:
            return
        self.records += [face.record for face in faces]
        for face in faces:
            quality, _ = self.best.get(face.record.track, (-1.0, 0))
            if face.quality > quality:
                self.best[face.record.track] = (face.quality, frame.index)

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        assert self.tracks is None, "finish is called once"
        self.tracks = tracks


def run(
    path: Path,
    spec: JobSpec = ALL,
    *,
    batch_size: int = 4,
    detector: SquareDetector | None = None,
    on_progress: Progress | None = None,
    sink: RecordingSink | None = None,
    own_thresholds: Mapping[str, float] | None = None,
    unsure_below: str = "",
) -> tuple[RecordingSink, RunReport]:
    sink = sink or RecordingSink()
    with open_frames(path, max_pixels=1_000_000) as reader:
        report = run_item(
            reader,
            analysis(
                spec,
                detector=detector or SquareDetector(),
                classifiers=[ColourClassifier(name, own_thresholds) for name in spec.models],
                unsure_below=unsure_below,
            ),
            [sink],
            batch_size=batch_size,
            on_progress=on_progress or (lambda _done, _total: None),
        )
    return sink, report


def unsure_heads(sink: RecordingSink) -> set[str]:
    """Return the heads that are `unsure` for all faces and tracks; checks that no other is so."""
    assert sink.tracks is not None
    attributes = [one.attributes for one in sink.records]
    attributes += [one.attributes for one in sink.tracks]
    found = {head for head, answer in attributes[0].items() if answer.label == UNSURE}
    for each in attributes:
        assert {head for head, answer in each.items() if answer.label == UNSURE} == found
        assert all(answer.probability == pytest.approx(0.8) for answer in each.values())
    return found


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return clips.write_video(tmp_path / "a.mp4", clips.moving_squares(20), pix_fmt="yuv444p")


def test_every_face_of_every_frame_has_a_record(clip: Path) -> None:
    sink, report = run(clip)
    assert [frame for frame, _, _ in sink.frames] == list(range(20))
    assert len(sink.records) == report.faces == 40
    for record in sink.records:
        assert record.time_ms == record.frame_index * 40.0
        assert set(record.attributes) == set(HEADS)
    first = [record for record in sink.records if record.face_index == 0]
    assert [record.track for record in first] == [1] * 20
    assert first[0].box_xyxy == pytest.approx((2, 4, 14, 16), abs=1)
    assert first[19].box_xyxy == pytest.approx((21, 4, 33, 16), abs=1)
    # red is a head's third label (or last), green its second
    assert sink.records[0].attributes["gender"].label == "male"
    assert sink.records[0].attributes["illumination"].label == "high"
    assert sink.records[1].attributes["illumination"].label == "medium"
    assert (report.frames_read, report.frames_analysed, report.tracks) == (20, 20, 2)
    assert report.truncated is None


def test_tracks_sum_up_the_faces_and_name_the_best_shot(clip: Path) -> None:
    sink, _ = run(clip)
    assert sink.tracks is not None
    assert [track.track for track in sink.tracks] == [1, 2]
    for track in sink.tracks:
        assert (track.first_frame_index, track.last_frame_index) == (0, 19)
        assert (track.face_count, track.last_time_ms) == (20, 760.0)
        assert track.best_frame_index == sink.best[track.track][1]
        [shot] = [
            record
            for record in sink.records
            if record.track == track.track and record.frame_index == track.best_frame_index
        ]
        assert track.best_box_xyxy == shot.box_xyxy
        assert set(track.attributes) == set(HEADS)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"frame_stride": 3},
        {"detect_every": "3"},
        {"detect_every": "10", "frame_stride": 2},
        {"detect_every": "adaptive"},
        {"classify": "auto"},
        {"detect_every": "adaptive", "classify": "auto"},
    ],
    ids=str,
)
def test_results_do_not_depend_on_the_size_of_a_batch(clip: Path, options: dict[str, Any]) -> None:
    spec = JobSpec(smallest_face=4, **options)
    runs = [run(clip, spec, batch_size=size)[0] for size in (1, 3, 8, 64)]
    for other in runs[1:]:
        assert other.records == runs[0].records
        assert other.tracks == runs[0].tracks
        assert other.frames == runs[0].frames


def test_faces_of_a_frame_are_in_order_from_left_to_right(tmp_path: Path) -> None:
    squares = [Square(40, 30, 14, RED), Square(2, 2, 16, GREEN), Square(24, 10, 12, RED)]
    sink, _ = run(clips.write_image(tmp_path / "a.png", clips.picture(squares)))
    assert [record.face_index for record in sink.records] == [0, 1, 2]
    lefts = [record.box_xyxy[0] for record in sink.records]
    assert lefts == sorted(lefts)


def test_disabled_models_are_not_run(clip: Path) -> None:
    sink, report = run(clip, JobSpec(smallest_face=4, expression=False, multiple=False))
    assert all(set(record.attributes) == {"gender"} for record in sink.records)
    assert report.faces == 40


def test_without_any_model_faces_are_still_found_and_tracked(clip: Path) -> None:
    sink, report = run(clip, JobSpec.parse({"models": "0,0,0", "smallest_face": 4}))
    assert all(record.attributes == {} for record in sink.records)
    assert report.tracks == 2
    assert set(MODELS) - set(sink.records[0].attributes) == set(MODELS)


@pytest.mark.parametrize(
    ("own", "setting", "option", "unsure"),
    [
        ({}, "", "", set()),
        ({"gender": 0.7, "pose": 0.79}, "", "", set()),
        ({"gender": 0.9, "pose": 0.81}, "", "", {"gender", "pose"}),
        ({"gender": 0.9, "pose": 0.9}, "off", "", set()),
        ({"gender": 0.9, "pose": 0.9}, "pose=0.5,age=0.9", "", {"gender", "age"}),
        ({"gender": 0.9}, "0.5", "1", set(HEADS)),
        ({"gender": 0.9}, "1", "0", set()),
        ({"gender": 0.9}, "age=1,pose=1", "pose=0", {"gender", "age"}),
        ({}, "", "multiple=0.9,age=off", set(MODELS["multiple"]) - {"age"}),
    ],
)
def test_thresholds_come_from_the_job_then_the_setting_then_the_model(
    tmp_path: Path, own: dict[str, float], setting: str, option: str, unsure: set[str]
) -> None:
    path = clips.write_video(tmp_path / "a.mp4", clips.moving_squares(3), pix_fmt="yuv444p")
    spec = JobSpec(smallest_face=4, unsure_below=option)
    sink, _ = run(path, spec, own_thresholds=own, unsure_below=setting)
    assert unsure_heads(sink) == unsure


def test_the_threshold_leaves_out_uncertain_faces(clip: Path) -> None:
    _, report = run(clip, JobSpec(smallest_face=4, detection_threshold=0.92))
    assert report.faces == 20


def test_faces_that_are_too_small_are_left_out(tmp_path: Path) -> None:
    drawn = clips.picture([Square(2, 2, 10, RED), Square(30, 10, 20, GREEN)])
    path = clips.write_image(tmp_path / "a.png", drawn)
    assert run(path, JobSpec(smallest_face=10))[1].faces == 2
    assert run(path, JobSpec(smallest_face=11))[1].faces == 1
    assert run(path, JobSpec(smallest_face=21))[1].faces == 0


def test_a_stride_analyses_every_nth_frame_and_shows_the_faces_on_the_others(clip: Path) -> None:
    detector = SquareDetector()
    sink, report = run(clip, JobSpec(smallest_face=4, frame_stride=5), detector=detector)
    assert [index for index, analysed, _ in sink.frames if analysed] == [0, 5, 10, 15]
    assert [count for _, _, count in sink.frames] == [2] * 20
    assert {record.frame_index for record in sink.records} == {0, 5, 10, 15}
    assert detector.pictures_seen == report.frames_analysed == 4
    assert (report.frames_read, report.faces) == (20, 8)


@pytest.mark.parametrize(
    ("max_fps", "wanted"),
    [(25.0, list(range(20))), (12.5, list(range(0, 20, 2))), (5.0, [0, 5, 10, 15]), (1.0, [0])],
)
def test_max_fps_limits_the_rate_by_time(clip: Path, max_fps: float, wanted: list[int]) -> None:
    sink, _ = run(clip, JobSpec(smallest_face=4, max_fps=max_fps))
    assert [index for index, analysed, _ in sink.frames if analysed] == wanted


@pytest.mark.parametrize("rate", [clips.NTSC, 30, 60])
def test_max_fps_equal_to_the_rate_of_rounded_times_skips_no_frame(rate: Fraction | int) -> None:
    sampling = Sampling(JobSpec(max_fps=float(rate)))
    frames = [Frame(n, float(round(n * 1000 / rate)), clips.picture()) for n in range(1000)]
    assert all(sampling.selects(frame) for frame in frames)


def test_max_fps_counts_seconds_not_frames(tmp_path: Path) -> None:
    path = clips.write_video(
        tmp_path / "a.mkv",
        clips.moving_squares(8),
        ticks=[0, 10, 20, 500, 510, 1000, 3000, 3010],
        time_base=Fraction(1, 1000),
    )
    sink, _ = run(path, JobSpec(smallest_face=4, max_fps=2.0))
    assert [index for index, analysed, _ in sink.frames if analysed] == [0, 3, 5, 6]


def test_progress_is_reported_after_each_batch(clip: Path) -> None:
    reported: list[tuple[int, int | None]] = []
    run(clip, batch_size=8, on_progress=lambda done, total: reported.append((done, total)))
    assert reported == [(8, 20), (16, 20), (20, 20)]


def test_an_error_in_on_progress_ends_the_run_and_leaves_sinks_unfinished(clip: Path) -> None:
    sink = RecordingSink()

    def cancel(done: int, total: int | None) -> None:
        raise CancelledError(f"{done} of {total}")

    with pytest.raises(CancelledError, match="4 of 20"):
        run(clip, on_progress=cancel, sink=sink)
    assert len(sink.frames) == 4
    assert sink.tracks is None


def test_a_truncated_file_is_finished_with_the_frames_that_were_read(tmp_path: Path) -> None:
    whole = clips.write_video(
        tmp_path / "a.mp4",
        clips.moving_squares(40),
        options={"movflags": "+faststart"},
        codec_options={"qp": "1", "g": "1"},
    )
    short = clips.write_truncated(tmp_path / "b.mp4", whole, kept=0.7)
    sink, report = run(short)
    assert isinstance(report.truncated, TruncatedError)
    assert 0 < report.frames_read == len(sink.frames) < 40
    assert sink.tracks is not None
    assert report.tracks == len(sink.tracks) == 2


def test_a_scene_cut_separates_tracks(tmp_path: Path) -> None:
    path = clips.write_video(tmp_path / "a.mp4", clips.two_scenes(10), pix_fmt="yuv444p")
    sink, _ = run(path)
    assert sink.tracks is not None
    assert [(t.first_frame_index, t.last_frame_index) for t in sink.tracks] == [(0, 4), (5, 9)]


def test_the_report_has_the_seconds_of_each_stage(clip: Path) -> None:
    _, report = run(clip)
    stages = {"decode", "detect", "track", "crop", "classify", "vote", "RecordingSink"}
    assert set(report.stage_seconds) == stages
    assert all(seconds >= 0 for seconds in report.stage_seconds.values())


def test_a_video_without_faces_has_no_tracks(tmp_path: Path) -> None:
    path = clips.write_video(tmp_path / "a.mp4", [clips.picture()] * 3)
    sink, report = run(path)
    assert (report.faces, report.tracks, sink.tracks) == (0, 0, [])
    assert sink.frames == [(0, True, 0), (1, True, 0), (2, True, 0)]
