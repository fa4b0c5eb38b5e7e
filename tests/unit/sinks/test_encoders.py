from __future__ import annotations

import logging
from pathlib import Path
from typing import get_args

import av
import pytest

from faces_jobs.pipeline.frames import open_frames
from faces_jobs.settings import EncoderName
from faces_jobs.sinks.encoders import X264, choose_encoder
from faces_jobs.sinks.video import AnnotatedVideo
from tests import clips


@pytest.mark.parametrize("name", get_args(EncoderName))
def test_whatever_encoder_is_named_a_video_comes_of_it(
    name: EncoderName, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = clips.write_video(tmp_path / "a.mp4", clips.moving(20, width=320, height=240))
    copy = tmp_path / "copy.mp4"
    with (
        caplog.at_level(logging.WARNING),
        open_frames(source, max_pixels=10**6) as reader,
        AnnotatedVideo(copy, info=reader.info, encoder=name) as sink,
    ):
        for frame in reader:
            sink.add(frame, [], analysed=True)
        sink.finish([])
    with av.open(str(copy)) as written:
        stream = written.streams.video[0]
        assert stream.codec_context.name == "h264"
        times = [frame.time for frame in written.decode(stream)]
    assert times == pytest.approx([index / 25 for index in range(20)])
    fell_back = choose_encoder(name, width=320, height=240) == X264
    assert (f"{name} does not work here" in caplog.text) == (
        fell_back and name not in {"auto", "libx264"}
    )
