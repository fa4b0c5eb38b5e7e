"""Each encoder setting gives a valid video, and encoding is deterministic."""

from __future__ import annotations

import logging
import random
from dataclasses import replace
from pathlib import Path
from typing import get_args

import av
import numpy as np
import pytest

from faces_jobs.jobs.labels import HEADS
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.values import Face
from faces_jobs.settings import EncoderName
from faces_jobs.sinks.encoders import X264, choose_encoder
from faces_jobs.sinks.video import AnnotatedVideo
from tests import clips, factories


@pytest.mark.parametrize("name", get_args(EncoderName))
def test_every_encoder_setting_gives_an_h264_video(
    name: EncoderName, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = clips.write_video(tmp_path / "a.mp4", clips.moving_squares(20, width=320, height=240))
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
    assert (f"encoder {name} does not work" in caplog.text) == (
        fell_back and name not in {"auto", "libx264"}
    )


def test_encoding_the_same_pictures_is_deterministic(tmp_path: Path) -> None:
    """The result must not depend on what the memory of the process held before."""
    source = clips.write_video(tmp_path / "a.mp4", clips.moving_squares(15, width=160, height=120))
    settled = factories.attributes({head: (labels[0], 0.8) for head, labels in HEADS.items()})
    generator = np.random.default_rng(0)
    encoded = set()
    for number in range(12):
        # Fill the heap with varying remains, which uninitialised buffers would expose.
        blocks = [
            generator.integers(1, 255, random.randint(1, 2_000_000), np.uint8) for _ in range(6)
        ]
        del blocks[::2]
        copy = tmp_path / f"{number}.mp4"
        with (
            open_frames(source, max_pixels=10**6) as reader,
            AnnotatedVideo(copy, info=reader.info) as sink,
        ):
            for frame in reader:
                shift = 2.0 * frame.index
                boxes = [(2 + shift, 4.0, 16 + shift, 18.0), (130 - shift, 60.0, 144 - shift, 74.0)]
                faces = [
                    Face(replace(factories.face(track=n), box_xyxy=box), {}, settled, quality=1.0)
                    for n, box in enumerate(boxes, start=1)
                ]
                sink.add(frame, faces, analysed=True)
            sink.finish([])
        encoded.add(copy.read_bytes())
    assert len(encoded) == 1
