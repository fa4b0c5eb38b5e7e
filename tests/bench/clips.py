"""Makes the clips that are measured: portraits side by side, and repetitions of a clip."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
from av.packet import Packet
from skimage.data import astronaut

from faces_jobs.pipeline.values import Picture
from faces_jobs.sample import write_sample_clip

RATE = 25
_FACE = (224, 118)  # centre (x, y) of the face in the photograph, in pixels
_FACE_SIDE = 110  # width of that face, in pixels


def sample_720p(folder: Path) -> Path:
    """The sample clip: ten seconds, 1280x720, 25 frames/s, one or two faces, two cuts."""
    path = folder / "sample-720p.mp4"
    if not path.exists():
        write_sample_clip(path)
    return path


def portraits(
    folder: Path,
    *,
    faces: int,
    width: int = 1280,
    height: int = 720,
    seconds: float = 10,
    rows: int = 1,
) -> Path:
    """A video of the public-domain portrait, `faces` times side by side, each drifting on its own.

    Every second portrait is mirrored and each is graded differently, so that no two columns are
    equal to an encoder. With `faces=0` the video shows the background of the portrait.

    Args:
        folder: where the video is written, if it does not exist yet.
        faces: how many portraits; a multiple of `rows`.
        width: of the video, in pixels.
        height: of the video, in pixels.
        seconds: length of the video.
        rows: two keep many faces larger than one row would.
    """
    path = folder / f"portraits-{faces}-{width}x{height}-{seconds:g}s-{rows}.mp4"
    if path.exists():
        return path
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as write:
        stream = write.add_stream("libx264", rate=RATE, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size = 2 * RATE
        for index in range(round(seconds * RATE)):
            band = _frame(index, faces // rows, width, height // rows)
            frame = av.VideoFrame.from_ndarray(np.vstack([band] * rows), format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            write.mux(stream.encode(frame))
        write.mux(stream.encode(None))
    return path


def _frame(index: int, faces: int, width: int, height: int) -> Picture:
    photograph = _photograph()
    edges = np.linspace(0, width, max(1, faces) + 1).round().astype(int)
    columns = []
    for number, (left, right) in enumerate(pairwise(edges)):
        angle = 2 * np.pi * (index / (4 * RATE) + number / 3)
        scale = _FACE_SIDE * 2.2 / (right - left) * (1 + 0.15 * np.sin(angle))
        x = _FACE[0] + 12 * np.cos(angle) - scale * (right - left) / 2
        y = _FACE[1] + 8 * np.sin(2 * angle) - scale * height / 2
        if not faces:
            x, y, scale = 20 + 10 * np.cos(angle), 330 + 10 * np.sin(angle), 0.1
        shown = cv2.warpAffine(
            photograph,
            np.array([[scale, 0, x], [0, scale, y]]),
            (int(right - left), height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        graded = cv2.convertScaleAbs(shown, alpha=1 - 0.12 * (number % 3), beta=6 * (number % 2))
        columns.append(graded[:, ::-1] if number % 2 else graded)
    return np.asarray(np.hstack(columns), np.uint8)


@cache
def _photograph() -> Picture:
    return np.ascontiguousarray(astronaut()[:, :, ::-1])  # type: ignore[no-untyped-call]  # ships no types


def repeated(source: Path, times: int, folder: Path) -> Path:
    """The source repeated `times` times, by copying its packets without re-encoding."""
    path = folder / f"{source.stem}-times-{times}.mp4"
    with av.open(str(source)) as read:
        stream = read.streams.video[0]
        length = int(stream.duration or 0)
        with av.open(str(path), "w") as write:
            copy = write.add_stream_from_template(stream)
            for repeat in range(times):
                read.seek(0)
                for packet in read.demux(stream):
                    if packet.dts is not None:
                        write.mux(_shifted(packet, repeat * length, copy))
    return path


def _shifted(
    packet: Packet[av.VideoStream], ticks: int, stream: av.VideoStream
) -> Packet[av.VideoStream]:
    packet.dts = (packet.dts or 0) + ticks
    packet.pts = (packet.pts or 0) + ticks
    packet.stream = stream
    return packet
