"""The clips that are measured: the sample clip, and the same again and again for ten minutes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet

from faces_jobs.sample import write_sample_clip


def sample_720p(folder: Path) -> Path:
    """Ten seconds, 1280x720, 25 frames/s, one or two faces at a time."""
    path = folder / "sample-720p.mp4"
    if not path.exists():
        write_sample_clip(path)
    return path


def shrunk_to_360p(source: Path, folder: Path) -> Path:
    """The same frames at 640x360."""
    path = folder / "sample-360p.mp4"
    with av.open(str(source)) as read, av.open(str(path), "w") as write:
        video = read.streams.video[0]
        stream = write.add_stream("libx264", rate=video.average_rate, options={"preset": "fast"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        stream.time_base = Fraction(1, 25)
        for index, frame in enumerate(read.decode(video)):
            small = frame.reformat(640, 360, "yuv420p")
            small.pts, small.time_base = index, Fraction(1, 25)
            write.mux(stream.encode(small))
        write.mux(stream.encode(None))
    return path


def repeated(source: Path, times: int, folder: Path) -> Path:
    """The source `times` over, its packets copied without encoding them again."""
    path = folder / f"{source.stem}-times-{times}.mp4"
    with av.open(str(source)) as read:
        stream = read.streams.video[0]
        length = int(stream.duration or 0)
        with av.open(str(path), "w") as write:
            copy = write.add_stream_from_template(stream)
            for round_ in range(times):
                read.seek(0)
                for packet in read.demux(stream):
                    if packet.dts is not None:
                        write.mux(_moved(packet, round_ * length, copy))
    return path


def _moved(
    packet: Packet[av.VideoStream], ticks: int, stream: av.VideoStream
) -> Packet[av.VideoStream]:
    packet.dts = (packet.dts or 0) + ticks
    packet.pts = (packet.pts or 0) + ticks
    packet.stream = stream
    return packet
