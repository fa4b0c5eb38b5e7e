"""Counts the frames of a video that are missing or incomplete because of damaged packets."""

from __future__ import annotations

from typing import Any

from av.packet import Packet
from av.video.frame import VideoFrame

# Codecs delay frames by a few dozen packets. A packet followed by more than this won't give one.
_MAX_PENDING = 1000


class Damage:
    """Counts damaged frames by matching packets to frames by their presentation timestamps.

    A frame counts as damaged, once, if the decoder rejects its packet or returns no frame for it,
    if the container marks the packet as corrupt, or if the decoder had to conceal errors in the
    frame. Packets without a timestamp count only if they are rejected.
    """

    def __init__(
        self, start_pts: int | None = None, end_pts: int | None = None, *, fields: bool = False
    ) -> None:
        """Count packets with `start_pts` <= pts < `end_pts`; None stands for no limit.

        `fields`: two packets make one frame, so a packet without a frame isn't damaged.
        """
        self._start_pts, self._end_pts = start_pts, end_pts
        self._fields = fields
        # Packets without a frame so far: pts to whether the packet is known to be damaged.
        self._pending: dict[int, bool] = {}
        self.frames = 0

    def packet_sent(self, packet: Packet[Any]) -> None:
        """Record that a packet is sent to the decoder."""
        if packet.pts is None or packet.is_discard or not self._counts(packet.pts):
            return
        self._pending[packet.pts] = packet.is_corrupt
        if len(self._pending) > _MAX_PENDING:
            is_damaged = self._pending.pop(next(iter(self._pending)))
            self.frames += is_damaged or not self._fields

    def packet_rejected(self, packet: Packet[Any]) -> None:
        """Record that the decoder rejected a packet; it may still return an incomplete frame."""
        if packet.pts in self._pending:
            self._pending[packet.pts] = True
        elif packet.pts is None or self._counts(packet.pts):
            self.frames += 1

    def frame_decoded(self, frame: VideoFrame) -> None:
        """Record that the decoder returned a frame."""
        is_damaged = frame.pts is not None and self._pending.pop(frame.pts, False)
        if is_damaged or (frame.is_corrupt and (frame.pts is None or self._counts(frame.pts))):
            self.frames += 1

    def stop_at(self, end_pts: int | None) -> None:
        """Count only packets before this timestamp, including those that were sent already."""
        self._end_pts = end_pts

    def finish(self) -> None:
        """Count the packets for which no frame was returned; call it after the last frame."""
        self.frames += sum(
            self._counts(pts) and (is_damaged or not self._fields)
            for pts, is_damaged in self._pending.items()
        )
        self._pending.clear()

    def _counts(self, pts: int) -> bool:
        return (self._start_pts is None or self._start_pts <= pts) and (
            self._end_pts is None or pts < self._end_pts
        )
