"""The division of frames into stretches."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.stretches import MAX_STRETCH_MS, Stretch, Stretches
from faces_jobs.pipeline.values import Frame, MediaInfo

NOON = np.full((8, 8, 3), 200, np.uint8)
NIGHT = np.where(np.arange(64).reshape(8, 8, 1) % 2, NOON, 0).astype(np.uint8)
HD = MediaInfo("video", "mov", 1280, 720, None, None, None, False)
UHD = replace(HD, width=3840, height=2160)

shots = st.lists(
    st.tuples(
        st.sampled_from([10.0, 40.0, 300.0, 900.0]),  # milliseconds since the previous frame
        st.booleans(),  # is analysed
        st.integers(0, 9).map(lambda drawn: drawn == 0),  # is a key frame
        st.integers(0, 9).map(lambda drawn: drawn == 0),  # another scene
    ),
    max_size=60,
)


def frames_of(drawn: list[tuple[float, bool, bool, bool]]) -> list[tuple[Frame, bool]]:
    frames, time_ms, scenes = [], 0.0, itertools.cycle([NOON, NIGHT])
    scene = next(scenes)
    for index, (elapsed, analysed, is_key, cuts) in enumerate(drawn):
        time_ms += elapsed
        scene = next(scenes) if cuts else scene
        frames.append((Frame(index, time_ms, scene, is_key=is_key), analysed))
    return frames


def divided(frames: list[tuple[Frame, bool]], max_analysed: int, max_frames: int) -> list[Stretch]:
    stretches = Stretches(max_analysed, max_frames)
    for frame, analysed in frames:
        stretches.add(frame, analysed=analysed)
    stretches.close()
    return stretches.take_closed()


def indices(stretches: list[Stretch]) -> list[tuple[list[int], bool]]:
    return [([frame.index for frame in each.frames], each.is_independent) for each in stretches]


@given(drawn=shots, max_analysed=st.integers(1, 10), max_frames=st.integers(2, 12))
def test_each_analysed_frame_is_in_one_stretch_and_none_is_far_from_an_end(
    drawn: list[tuple[float, bool, bool, bool]], max_analysed: int, max_frames: int
) -> None:
    frames = frames_of(drawn)
    stretches = divided(frames, max_analysed, max_frames)
    assert [frame for each in stretches for frame in each.frames] == [
        frame for frame, analysed in frames if analysed
    ]
    last = None
    for each in stretches:
        assert 1 <= len(each.frames) <= max_analysed
        assert not each.is_independent or len(each.frames) == 1
        assert each.frames[-1].index - each.frames[0].index < max_frames
        if last is None:
            assert each.is_independent
        else:
            for between in each.frames[:-1]:
                assert between.time_ms - last.time_ms < MAX_STRETCH_MS
        last = each.frames[-1]


@given(drawn=shots)
def test_scenes_and_key_frames_start_independent_stretches(
    drawn: list[tuple[float, bool, bool, bool]],
) -> None:
    frames = frames_of(drawn)
    starts = {each.frames[0].index for each in divided(frames, 8, 99) if each.is_independent}
    wanted, shown, due, key_before = set(), None, True, False
    for frame, analysed in frames:
        due = due or (frame.is_key and not key_before)
        key_before = frame.is_key
        if analysed:
            if due or frame.picture_bgr is not shown:
                wanted.add(frame.index)
            shown, due = frame.picture_bgr, False
    assert starts == wanted


@given(drawn=shots, max_analysed=st.integers(1, 10), max_frames=st.integers(2, 12))
def test_parts_that_start_at_key_frames_are_divided_like_the_whole(
    drawn: list[tuple[float, bool, bool, bool]], max_analysed: int, max_frames: int
) -> None:
    frames = frames_of(drawn)
    first_keys = [
        after.index
        for (before, _), (after, _) in itertools.pairwise(frames)
        if after.is_key and not before.is_key
    ]
    parts = [
        divided(frames[start:end], max_analysed, max_frames)
        for start, end in itertools.pairwise([0, *first_keys, len(frames)])
    ]
    whole = divided(frames, max_analysed, max_frames)
    assert indices([each for part in parts for each in part]) == indices(whole)


def test_options_that_skip_nothing_need_no_stretches() -> None:
    assert Stretches.for_item(JobSpec(), HD) is None
    assert Stretches.for_item(JobSpec(detect_every="2"), HD) is not None
    assert Stretches.for_item(JobSpec(classify="auto"), HD) is not None


@pytest.mark.parametrize(
    ("spec", "info", "analysed"),
    [
        (JobSpec(classify="auto"), HD, 8),
        (JobSpec(detect_every="adaptive"), HD, 8),
        (JobSpec(detect_every="3"), HD, 6),  # the last of each three
        (JobSpec(detect_every="10"), HD, 10),
        (JobSpec(detect_every="10"), UHD, 2),  # more would take too much memory
    ],
)
def test_a_stretch_of_a_still_scene_is_as_long_as_options_and_memory_allow(
    spec: JobSpec, info: MediaInfo, analysed: int
) -> None:
    stretches = Stretches.for_item(spec, info)
    assert stretches is not None
    for index in range(21):
        stretches.add(Frame(index, 1000 + index * 10.0, NOON), analysed=True)
    first, *others = stretches.take_closed()
    assert first.is_independent
    assert {len(each.frames) for each in others} == {analysed}
