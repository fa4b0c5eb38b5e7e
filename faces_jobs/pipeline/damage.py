"""Counts the frames of a video that its packets should give, and give not or not whole."""

from __future__ import annotations

from typing import Any

from av.packet import Packet
from av.video.frame import VideoFrame

# Frames that a codec holds back are some dozens; a packet that so many came after gave none.
_MOST_WAITING = 1000


class Damage:
    """What became of each packet, told by the time that its frame would be shown at.

    A packet that the decoder refuses, one that gives no frame, one that the container calls
    corrupt, and a frame that the decoder had to make up in part: each counts as one damaged frame,
    whatever of it comes together. Packets without a time count only where they are refused.
    """

    def __init__(
        self, start_pts: int | None = None, end_pts: int | None = None, *, fields: bool = False
    ) -> None:
        """Count packets with `start_pts` <= time < `end_pts`; None: from the first, to the last.

        `fields`: every second packet gives no frame, so one that gives none may be well.
        """
        self._start_pts, self._end_pts = start_pts, end_pts
        self._fields = fields
        self._waiting: dict[int, bool] = {}  # time of each that has given no frame: is it damaged
        self.frames = 0

    def give(self, packet: Packet[Any]) -> None:
        """A packet goes to the decoder."""
        if packet.pts is None or packet.is_discard or not self._counts(packet.pts):
            return
        self._waiting[packet.pts] = packet.is_corrupt
        if len(self._waiting) > _MOST_WAITING:
            is_damaged = self._waiting.pop(next(iter(self._waiting)))
            self.frames += is_damaged or not self._fields

    def refuse(self, packet: Packet[Any]) -> None:
        """The decoder refused a packet. It may give a part of its frame nevertheless."""
        if packet.pts in self._waiting:
            self._waiting[packet.pts] = True
        elif packet.pts is None or self._counts(packet.pts):
            self.frames += 1

    def show(self, frame: VideoFrame) -> None:
        """A frame came of it."""
        given = frame.pts is not None and self._waiting.pop(frame.pts, False)
        if given or (frame.is_corrupt and (frame.pts is None or self._counts(frame.pts))):
            self.frames += 1

    def stop_at(self, end_pts: int | None) -> None:
        """Count only packets before that time, also of those that were given already."""
        self._end_pts = end_pts

    def end(self) -> None:
        """No more frames come."""
        self.frames += sum(
            self._counts(pts) and (is_damaged or not self._fields)
            for pts, is_damaged in self._waiting.items()
        )
        self._waiting.clear()

    def _counts(self, pts: int) -> bool:
        return (self._start_pts is None or self._start_pts <= pts) and (
            self._end_pts is None or pts < self._end_pts
        )
