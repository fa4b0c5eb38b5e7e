"""Creates the sample video of the demo from a photograph that is included in scikit-image.

The photograph is NASA's portrait of the astronaut Eileen Collins, which is in the public domain.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.data import astronaut

WIDTH, HEIGHT, RATE = 1280, 720, 25
SOUND_RATE = 48_000
AAC_FRAME = 1024  # samples
SECONDS = 10
Picture = NDArray[np.uint8]
View = tuple[float, float, float]
"""A crop of the photograph: x and y of its centre, and its width, in pixels."""

WHOLE: View = (256, 210, 512)
FACE: View = (224, 120, 230)
LEFT_HALF: View = (215, 150, 250)
HELMET: View = (320, 140, 300)


def write_sample_clip(path: Path) -> None:
    """Write ten seconds of 720p video with audio: zooms, pans, two cuts, two faces at once.

    The file is H.264 and AAC in MP4, and deterministic for a given version of the encoders.
    """
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.thread_count = 1
        sound = container.add_stream("aac", rate=SOUND_RATE, layout="mono")
        for index, picture_bgr in enumerate(_pictures()):
            frame = av.VideoFrame.from_ndarray(picture_bgr, format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for start, samples in _sounds():
            chunk = av.AudioFrame.from_ndarray(samples[np.newaxis], format="fltp", layout="mono")
            chunk.sample_rate = SOUND_RATE
            chunk.pts, chunk.time_base = start, Fraction(1, SOUND_RATE)
            container.mux(sound.encode(chunk))
        container.mux(sound.encode(None))


def _pictures() -> Iterator[Picture]:
    """Yield the frames of the three shots, BGR, (720, 1280, 3) each."""
    photograph = np.ascontiguousarray(astronaut()[:, :, ::-1])  # type: ignore[no-untyped-call] # ships no types
    mirrored = _graded(photograph[:, ::-1], gain=0.75, warmth=14)
    for at in _steps(4):  # zoom from the whole portrait to the face
        yield _view(photograph, _between(WHOLE, FACE, at), WIDTH)
    for at in _steps(3):  # two people side by side, moving in opposite directions
        half = WIDTH // 2
        left = _view(photograph, _between(LEFT_HALF, (225, 140, 220), at), half)
        right = _view(mirrored, _between((290, 140, 220), (300, 155, 260), at), half)
        yield np.hstack([left, right])
    for at in _steps(3):  # darker: a pan across the face
        view = _between((150, 130, 300), HELMET, at)
        yield _graded(_view(photograph, view, WIDTH), gain=0.55, warmth=-6)


def _steps(seconds: int) -> Iterator[float]:
    """Yield the positions 0..1 of a shot's frames, slower at both ends like a real camera."""
    count = seconds * RATE
    for step in range(count):
        yield (1 - math.cos(math.pi * step / (count - 1))) / 2


def _between(start: View, end: View, at: float) -> View:
    x, y, width = (a + (b - a) * at for a, b in zip(start, end, strict=True))
    return x, y, width


def _view(photograph_bgr: Picture, view: View, width: int) -> Picture:
    """Crop and scale the photograph to `width` x HEIGHT pixels, with its borders reflected."""
    x, y, view_width = view
    scale = view_width / width
    matrix = np.array([[scale, 0, x - view_width / 2], [0, scale, y - scale * HEIGHT / 2]])
    shown = cv2.warpAffine(
        photograph_bgr,
        matrix,
        (width, HEIGHT),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(shown, np.uint8)


def _graded(picture_bgr: Picture, *, gain: float, warmth: float) -> Picture:
    """Change the lighting of a picture: `warmth` is added to red and subtracted from blue."""
    shift = np.array([-warmth, 0, warmth], np.float32)
    levels = np.arange(256, dtype=np.float32)[:, np.newaxis]
    table = np.clip(levels * np.float32(gain) + shift, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(picture_bgr, table[np.newaxis]), np.uint8)


def _sounds() -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield a chime for each second, in frames of AAC: (first sample, samples -1..1)."""
    time = np.arange(SECONDS * SOUND_RATE) / SOUND_RATE
    pitch = 330 * 2 ** (np.array([0, 4, 7, 12, 7, 4, 0, 4, 7, 12]) / 12)
    second = time.astype(int)
    fade = np.exp(-4 * (time - second))
    samples = (0.2 * fade * np.sin(2 * np.pi * pitch[second] * time)).astype(np.float32)
    for start in range(0, len(samples), AAC_FRAME):
        yield start, samples[start : start + AAC_FRAME]
