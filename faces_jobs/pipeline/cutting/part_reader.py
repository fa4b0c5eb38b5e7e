"""Reads the frames of one part of a video, exactly as they are when the video is read whole."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av.error
from av.packet import Packet
from av.video.frame import VideoFrame

from faces_jobs.pipeline.cutting.plan import Key, NotCuttableError, Part
from faces_jobs.pipeline.reading.containers import demux
from faces_jobs.pipeline.reading.damage import Damage
from faces_jobs.pipeline.reading.video_reader import VideoReader
from faces_jobs.pipeline.values import Frame


class PartReader(VideoReader):
    """A `FrameReader` for the frames of one part. Open it with `with`; iterate it once.

    It first opens the file as for the whole video, to get the same frame size, orientation and
    start time, then seeks to the part's key frame.
    """

    def __init__(self, path: Path, demuxer: str, part: Part, *, max_pixels: int) -> None:
        """Open the file and decode its first frame, as `VideoReader` does.

        Raises:
            MediaError: the same as for `VideoReader`.
        """
        super().__init__(path, demuxer, max_pixels=max_pixels)
        self._part = part
        self._info = replace(self._info, frame_count=part.frames)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames of the part once, in order of time.

        Raises:
            NotCuttableError: the frames differ from those that were planned, so the video must be
                read whole. The last part may have more, since no part follows it.
            TruncatedError: the file ends before its stream does; only raised for the last part.
        """
        part = self._part
        if part.key is None:
            self._damage.stop_at(part.end_pts)
            decoded = self._decoded_once()
        else:
            self._decoded.close()
            self._first = None
            # Damage before the part is counted by the part before.
            self._damage = Damage(part.start_pts, part.end_pts)
            decoded = self._decode(self._from_key(part.key))
            self._opened.callback(decoded.close)
        yield from self._frames_of(
            self._within(decoded), first_index=part.first_frame, to_end=part.is_last
        )

    def _within(self, decoded_frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
        part = self._part
        count, last_pts = 0, None
        for decoded in decoded_frames:
            if decoded.pts is None:
                raise NotCuttableError("a frame has no timestamp")
            if decoded.pts < part.start_pts and last_pts is None:
                continue  # decoded on the way from the key frame
            if part.end_pts is not None and decoded.pts >= part.end_pts:
                break
            if last_pts is not None and decoded.pts <= last_pts and not part.is_last:
                raise NotCuttableError("the timestamp of a frame goes back")
            if last_pts is None and decoded.pts != part.start_pts:
                raise NotCuttableError("its first frame can't be decoded from its key frame")
            last_pts = decoded.pts
            count += 1
            yield decoded
        if count < part.frames or (count > part.frames and not part.is_last):
            raise NotCuttableError(f"{part.frames} frames were planned, but {count} decoded")

    def _from_key(self, key: Key) -> Iterator[Packet[Any]]:
        """Return the packets from that key frame on, by seeking or else by reading up to it."""
        target = key.pts if key.dts is None else min(key.pts, key.dts)
        self._stream.codec_context.flush_buffers()
        try:
            self._container.seek(target, stream=self._stream)
            found = self._find(key)
        except av.error.FFmpegError:
            found = None
        if found is None:
            self._open(self._opened)
            found = self._find(key, read_all=True)
        if found is None:
            raise NotCuttableError("its key frame can't be found again")
        return found

    def _find(self, key: Key, *, read_all: bool = False) -> Iterator[Packet[Any]] | None:
        """Read up to the key frame. Returns None if it is missing.

        Gives up at a later key frame, unless `read_all` is set.
        """
        packets = demux(self._container)
        for packet in packets:
            if packet.stream_index != self._stream.index or not packet.size:
                continue
            if packet.pts == key.pts and packet.size == key.size and packet.is_keyframe:
                return itertools.chain([packet], packets)
            if (
                not read_all
                and packet.is_keyframe
                and (packet.pts is None or packet.pts >= key.pts)
            ):
                return None
        return None
