"""Chooses the encoder of annotated videos: a GPU's if it works on this machine, else x264."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

import av
import av.error
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from faces_jobs.settings import EncoderName

TRIAL_FRAMES = 12
# x264's AVX-512 code for macroblock trees reads uninitialised memory: the same small pictures are
# sometimes encoded differently. Its AVX2 code does not, and is as fast.
_AVX_512F = 13  # OpenCV's CPU_AVX_512F, which its Python module does not export
_AVX2_ONLY = "asm=avx2"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Encoder:
    """An H.264 encoder of FFmpeg with its options."""

    name: str
    options: Mapping[str, str] = field(default_factory=dict)

    def configure(self, context: VideoCodecContext) -> None:
        """Apply the options to a context of this encoder that is not open yet."""
        options = dict(self.options)
        if self.name == "libx264" and cv2.checkHardwareSupport(_AVX_512F):
            params = options.get("x264-params")
            options["x264-params"] = f"{params}:{_AVX2_ONLY}" if params else _AVX2_ONLY
        context.options = options
        # More threads would take time from the networks, and parts that are joined must be encoded
        # the same way, whatever the number of cores.
        context.thread_count = 1


# x264's "superfast" with the rate control of "veryfast": the same quality (PSNR) as "veryfast" in
# two thirds of its time, with a sixth more bytes; docs/performance.md has the measurements.
X264 = Encoder(
    "libx264",
    {"preset": "superfast", "crf": "21", "x264-params": "mbtree=1:rc-lookahead=10"},
)
# Each with its own options for constant quality and no B-frames.
_HARDWARE: Mapping[str, Encoder] = {
    encoder.name: encoder
    for encoder in (
        Encoder("h264_nvenc", {"preset": "p4", "rc": "vbr", "cq": "23", "b": "0", "bf": "0"}),
        Encoder("h264_qsv", {"preset": "veryfast", "global_quality": "23", "bf": "0"}),
        Encoder("h264_videotoolbox", {"q": "60", "bf": "0"}),
        Encoder("h264_amf", {"rc": "cqp", "qp_i": "22", "qp_p": "24", "bf": "0"}),
    )
}


def choose_encoder(wanted: EncoderName, *, width: int, height: int) -> Encoder:
    """Return the encoder asked for, or x264 if it doesn't work here; `auto`: the first that works.

    Encoders are tried out with pictures of this size: FFmpeg also lists those of GPUs that the
    machine doesn't have.
    """
    if wanted == "libx264":
        return X264
    names = list(_HARDWARE) if wanted == "auto" else [wanted]
    for name in names:
        reason = _reason_unusable(name, width, height)
        if reason is None:
            return _HARDWARE[name]
        level = logging.DEBUG if wanted == "auto" else logging.WARNING
        _log.log(
            level, "encoder %s does not work on this machine, using %s: %s", name, X264.name, reason
        )
    return X264


@lru_cache(maxsize=64)
def _reason_unusable(name: str, width: int, height: int) -> str | None:
    """Try an encoder out and return why it can't be used; None: it can."""
    tick = Fraction(1, 90_000)
    times = [index * 3000 for index in range(TRIAL_FRAMES)]
    encoded_times: list[int | None] = []
    try:
        context = av.CodecContext.create(name, "w")
        if not isinstance(context, VideoCodecContext):
            return "it is not a video encoder"
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base, context.framerate = tick, Fraction(30)
        _HARDWARE[name].configure(context)
        grey = np.full((height * 3 // 2, width), 128, np.uint8)
        for ticks in times:
            frame = VideoFrame.from_ndarray(grey, format="yuv420p")
            frame.pts, frame.time_base = ticks, tick
            encoded_times += [packet.pts for packet in context.encode(frame)]
        encoded_times += [packet.pts for packet in context.encode(None)]
    except (av.error.FFmpegError, ValueError, OSError) as error:
        return str(error)
    return None if encoded_times == times else "it does not keep the frames' timestamps"
