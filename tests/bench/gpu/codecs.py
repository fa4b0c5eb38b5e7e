"""Measures hardware decoding and encoding of video on the GPU through PyAV, if available."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.hwaccel import HWAccel

ENCODED_FRAMES = 50


def nvdec(clip: Path) -> dict[str, object]:
    """Decode on the GPU and copy the frames to main memory."""
    hwaccel = HWAccel(device_type="cuda", allow_software_fallback=False)
    started = time.perf_counter()
    count, name = 0, ""
    with av.open(str(clip), hwaccel=hwaccel) as container:
        for frame in container.decode(video=0):
            count += 1
            name = frame.format.name
    seconds = time.perf_counter() - started
    return {"frames": count, "frames_a_second": count / seconds, "format": name}


def nvenc(width: int, height: int) -> dict[str, object]:
    """Encode pictures of noise on the GPU."""
    context = av.CodecContext.create("h264_nvenc", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base = Fraction(1, 25)
    picture = np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)
    started = time.perf_counter()
    packets = 0
    for index in range(ENCODED_FRAMES):
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format="yuv420p")
        frame.pts = index
        packets += len(context.encode(frame))
    packets += len(context.encode(None))
    return {"packets": packets, "frames_a_second": ENCODED_FRAMES / (time.perf_counter() - started)}
