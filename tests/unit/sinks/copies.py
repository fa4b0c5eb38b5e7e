"""Annotated copies of whole sources, and the packets in them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from faces_jobs.errors import TruncatedError
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.values import Face
from faces_jobs.sinks.video import AnnotatedVideo

MAX_PIXELS = 1_000_000


def annotate(
    source: Path, target: Path, *, faces: Sequence[Face] = (), is_truncated: bool = False
) -> Path:
    """Annotate all frames of a source, also of one whose end is missing."""
    with (
        open_frames(source, max_pixels=MAX_PIXELS) as reader,
        AnnotatedVideo(target, info=reader.info, source=source) as sink,
    ):
        with pytest.raises(TruncatedError) if is_truncated else nullcontext():
            for frame in reader:
                sink.add(frame, faces, analysed=True)
        sink.finish([])
    return target


def packets_of(path: Path, kind: str, number: int = 0) -> list[Any]:
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[number]
        return [packet for packet in container.demux(stream) if packet.size]


def times(path: Path, kind: str = "video", number: int = 0) -> list[Fraction]:
    """Presentation times of packets in seconds, in order."""
    found = packets_of(path, kind, number)
    return sorted(packet.pts * packet.time_base for packet in found)


def relative_times(path: Path) -> list[Fraction]:
    """Presentation times of the pictures since the first one, in seconds."""
    found = times(path)
    return [each - found[0] for each in found]
