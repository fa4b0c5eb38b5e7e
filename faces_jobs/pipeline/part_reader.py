"""Frames of one part of a video: the same, with the same index and time, as read in one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av.error
from av.packet import Packet
from av.video.frame import VideoFrame

from faces_jobs.pipeline.cut_plan import Key, NotCuttableError, Part
from faces_jobs.pipeline.damage import Damage
from faces_jobs.pipeline.values import Frame
from faces_jobs.pipeline.video_reader import VideoReader


class PartReader(VideoReader):
    """A `FrameReader` over the frames of one part. Open it with `with`; iterate it once.

    The file is opened as for the whole video, so that its size, turn and start are the same;
    then decoding goes on at the part's key frame.
    """

    def __init__(self, path: Path, demuxer: str, part: Part, *, max_pixels: int) -> None:
        """Open the file and decode its first frame, as `VideoReader` does.

        Raises:
            MediaError: as `VideoReader` does.
        """
        super().__init__(path, demuxer, max_pixels=max_pixels)
        self._part = part
        self._info = replace(self._info, frame_count=part.frames)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the part's frames once, in order of time.

        Raises:
            NotCuttableError: they are others than the packets announced: the video has to be
                read in one. The last part, after which nothing is counted, may have more.
            TruncatedError: as from a whole video, of the last part.
        """
        part = self._part
        if part.key is None:
            self._damage.stop_at(part.end_pts)
            decoded = self._frames_once()
        else:
            self._decoded.close()
            self._first = None
            # What leads up to the part is another's.
            self._damage = Damage(part.start_pts, part.end_pts)
            decoded = self._decode(self._from_key(part.key))
            self._opened.callback(decoded.close)
        yield from self._place(
            self._within(decoded), first_index=part.first_frame, to_end=part.is_last
        )

    def _within(self, decoded_frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
        part = self._part
        count, last_pts = 0, None
        for decoded in decoded_frames:
            if decoded.pts is None:
                raise NotCuttableError("a frame has no time")
            if decoded.pts < part.start_pts and last_pts is None:
                continue  # leads up to the part
            if part.end_pts is not None and decoded.pts >= part.end_pts:
                break
            if last_pts is not None and decoded.pts <= last_pts and not part.is_last:
                raise NotCuttableError("the time of a frame goes back")
            if last_pts is None and decoded.pts != part.start_pts:
                raise NotCuttableError("its first frame can't be decoded from its key frame")
            last_pts = decoded.pts
            count += 1
            yield decoded
        if count < part.frames or (count > part.frames and not part.is_last):
            raise NotCuttableError(f"{part.frames} frames were announced, {count} decoded")

    def _from_key(self, key: Key) -> Iterator[Packet[Any]]:
        """All packets from that one on: by seeking, or where that fails by reading up to it."""
        target = key.pts if key.dts is None else min(key.pts, key.dts)
        self._stream.codec_context.flush_buffers()
        try:
            self._container.seek(target, stream=self._stream)
            found = self._find(key)
        except av.error.FFmpegError:
            found = None
        if found is None:
            self._open(self._opened)
            found = self._find(key, give_up=False)
        if found is None:
            raise NotCuttableError("a key frame can't be found again")
        return found

    def _find(self, key: Key, *, give_up: bool = True) -> Iterator[Packet[Any]] | None:
        """Read up to the key frame. None: it is not there, or not ahead any more."""
        packets = self._container.demux()
        for packet in packets:
            if packet.stream_index != self._stream.index or not packet.size:
                continue
            if packet.pts == key.pts and packet.size == key.size and packet.is_keyframe:
                return _again(packet, packets)
            if give_up and packet.is_keyframe and (packet.pts is None or packet.pts >= key.pts):
                return None
        return None


def _again(first: Packet[Any], rest: Iterator[Packet[Any]]) -> Iterator[Packet[Any]]:
    yield first
    yield from rest
