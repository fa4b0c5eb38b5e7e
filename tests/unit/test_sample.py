"""The demo's clip: playable in a browser, with sound and two cuts."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np

from faces_jobs.sample import HEIGHT, RATE, SECONDS, SOUND_RATE, WIDTH


def test_the_sample_clip_is_a_real_video_with_sound(quick_clip: Path) -> None:
    with av.open(str(quick_clip)) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.width, video.height) == (WIDTH, HEIGHT)
        assert sound.codec_context.name == "aac"
        small = [
            frame.to_ndarray(width=64, height=36, format="gray").astype(float)
            for frame in container.decode(video)
        ]
        container.seek(0)
        samples = sum(frame.samples for frame in container.decode(sound))
    assert len(small) == SECONDS * RATE // 5
    assert samples >= SECONDS * SOUND_RATE
    changes = [np.abs(after - before).mean() for before, after in itertools.pairwise(small)]
    assert [index + 1 for index, change in enumerate(changes) if change > 50] == [20, 35]
