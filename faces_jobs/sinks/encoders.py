"""Which encoder makes the annotated copy: a GPU's where one really works, else x264."""

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
# x264's AVX-512 code for macroblock trees goes by memory that nobody has written: the same small
# pictures are now and then encoded in another way. That for AVX2 does not, and takes no longer.
_AVX_512F = 13  # OpenCV's CPU_AVX_512F, which its Python module has no name for
_AS_FOR_AVX2 = "asm=avx2"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Encoder:
    """An H.264 encoder of FFmpeg, and how it is set."""

    name: str
    options: Mapping[str, str] = field(default_factory=dict)

    def configure(self, context: VideoCodecContext) -> None:
        """Set a context of this encoder, not open yet, to these options."""
        options = dict(self.options)
        if self.name == "libx264" and cv2.checkHardwareSupport(_AVX_512F):
            told = options.get("x264-params")
            options["x264-params"] = f"{told}:{_AS_FOR_AVX2}" if told else _AS_FOR_AVX2
        context.options = options
        # More threads would take from the networks what they gain here, and parts that are
        # put together must all be encoded in one way, on however many cores.
        context.thread_count = 1


# x264's "superfast" with the rate control of "veryfast": as good a picture (by PSNR) in two
# thirds of its time, for a sixth more bytes; see docs/performance.md for what was measured.
X264 = Encoder(
    "libx264",
    {"preset": "superfast", "crf": "21", "x264-params": "mbtree=1:rc-lookahead=10"},
)
# Each by its own word for "constant quality" and "no frames out of order for long".
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
    """The encoder wanted, or x264 where it does not work here; `auto`: the first that does.

    Each is tried out, with pictures of this size: a build of FFmpeg names encoders of GPUs that
    the machine does not have.
    """
    if wanted == "libx264":
        return X264
    names = list(_HARDWARE) if wanted == "auto" else [wanted]
    for name in names:
        reason = _why_not(name, width, height)
        if reason is None:
            return _HARDWARE[name]
        level = logging.DEBUG if wanted == "auto" else logging.WARNING
        _log.log(level, "%s does not work here, %s does it: %s", name, X264.name, reason)
    return X264


@lru_cache(maxsize=64)
def _why_not(name: str, width: int, height: int) -> str | None:
    """What keeps an encoder from being used; None: it gave back what it was given."""
    tick = Fraction(1, 90_000)
    given = [index * 3000 for index in range(TRIAL_FRAMES)]
    stored: list[int | None] = []
    try:
        context = av.CodecContext.create(name, "w")
        if not isinstance(context, VideoCodecContext):
            return "it is no video encoder"
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base, context.framerate = tick, Fraction(30)
        _HARDWARE[name].configure(context)
        gray = np.full((height * 3 // 2, width), 128, np.uint8)
        for ticks in given:
            frame = VideoFrame.from_ndarray(gray, format="yuv420p")
            frame.pts, frame.time_base = ticks, tick
            stored += [packet.pts for packet in context.encode(frame)]
        stored += [packet.pts for packet in context.encode(None)]
    except (av.error.FFmpegError, ValueError, OSError) as error:
        return str(error)
    return None if stored == given else "it does not keep the times of its pictures"
