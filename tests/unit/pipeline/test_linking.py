"""Linking the parts of a video gives the same results as one run over the whole video."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faces_jobs.jobs.records import FaceRecord, TrackRecord
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.linking import Linker
from faces_jobs.pipeline.run import run_item
from faces_jobs.pipeline.values import Face, Frame, MediaInfo
from faces_jobs.sinks.findings import (
    Findings,
    read_findings,
    read_header,
    read_linked,
    write_linked,
)
from tests.clips import BLUE, GREEN, RED, Square, picture
from tests.fakes import analysis

UNSURE_BELOW = {"gender": 0.6}


class FakeReader:
    """A frame reader over a list of frames."""

    damaged_frames = 0

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._frames = frames
        self.info = MediaInfo("video", "mov", 128, 96, len(frames), None, None, False)

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._frames)


class RecordingSink:
    """A sink that records the faces of analysed frames, and the tracks."""

    def __init__(self) -> None:
        self.faces: list[tuple[int, list[Face]]] = []
        self.tracks: Sequence[TrackRecord] = ()

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:
        if analysed:
            self.faces.append((frame.index, list(faces)))

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        self.tracks = tracks


def run(frames: Sequence[Frame], spec: JobSpec, sink: Any, after_ms: float | None = None) -> None:
    run_item(
        FakeReader(frames),
        analysis(spec, unsure_below="gender=0.6"),
        [sink],
        batch_size=3,
        on_progress=lambda _done, _total: None,
        after_ms=after_ms,
    )


walks = st.lists(
    st.tuples(
        st.integers(0, 100),  # left
        st.integers(0, 70),  # top
        st.integers(-4, 4),  # pixels per frame, to the right
        st.integers(-3, 3),  # down
        st.integers(0, 20),  # first frame
        st.integers(3, 40),  # number of frames
        st.sampled_from([RED, GREEN, BLUE]),
    ),
    min_size=1,
    max_size=5,
)


def drawn(walking: list[Any], count: int, scene_at: int, keys: Set[int]) -> list[Frame]:
    frames = []
    for index in range(count):
        squares = [
            Square(left + right * (index - comes), top + down * (index - comes), 12, colour)
            for left, top, right, down, comes, stays, colour in walking
            if comes <= index < comes + stays
        ]
        inside = [each for each in squares if 0 <= each.left <= 116 and 0 <= each.top <= 84]
        ground = (200, 200, 200) if index >= scene_at else (60, 60, 60)
        shown = picture(inside, width=128, height=96, background=ground)
        if index >= scene_at:
            shown[:, :40] = np.where(shown[:, :40] == 200, 0, shown[:, :40])
        frames.append(Frame(index, index * 40.0, shown, is_key=index in keys))
    return frames


def fields(faces: list[tuple[int, list[Face]]]) -> list[tuple[int, list[FaceRecord]]]:
    return [(index, [face.record for face in each]) for index, each in faces]


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    walking=walks,
    cuts=st.sets(st.integers(1, 39), max_size=4),
    scene_at=st.integers(0, 60),
    options=st.fixed_dictionaries(
        {
            "frame_stride": st.integers(1, 3),
            "max_fps": st.sampled_from([None, 6.0, 11.0]),
            "detect_every": st.sampled_from(["1", "3", "adaptive"]),
            "classify": st.sampled_from(["every", "auto"]),
        }
    ),
)
def test_any_cuts_at_key_frames_give_the_same(
    walking: list[Any], cuts: set[int], scene_at: int, options: dict[str, Any]
) -> None:
    # Of key frames in a row only the first tells policies that a part may begin.
    cuts = {cut for cut in cuts if cut - 1 not in cuts and cut > 1}
    frames = drawn(walking, 40, scene_at, keys={0, *cuts})
    spec = JobSpec(smallest_face=4, **options)
    stride = spec.frame_stride
    whole = RecordingSink()
    run(frames, spec, whole)
    edges = [0, *sorted(cuts), 40]
    linker = Linker(UNSURE_BELOW)
    linked: list[tuple[int, list[Face]]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (start, end) in enumerate(itertools.pairwise(edges)):
            path = Path(folder) / str(number)
            before = (start - 1) // stride * stride * 40.0 if start else None
            with Findings(path, {"unsure_below": UNSURE_BELOW}) as findings:
                run(frames[start:end], spec, findings, before)
            assert read_header(path) == {"unsure_below": UNSURE_BELOW}
            linked += linker.link_part(read_findings(path, UNSURE_BELOW))
        write_linked(Path(folder) / "linked", linked)
        shown = list(read_linked(Path(folder) / "linked"))

    assert fields(linked) == fields(whole.faces)
    assert linker.tracks() == list(whole.tracks)
    for (index, faces), (index_in_one, faces_in_one) in zip(shown, whole.faces, strict=True):
        assert index == index_in_one
        for face, in_one in zip(faces, faces_in_one, strict=True):
            assert face.settled == in_one.settled
            assert face.record.box_xyxy == in_one.record.box_xyxy
            assert face.record.track == in_one.record.track
