"""Keeps sound in sync with pictures where a file's clock restarts, as in joined recordings."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from av.packet import Packet
from av.video.stream import VideoStream

from faces_jobs.pipeline.reading.clock import ASSUMED_RATE, RESTART_FRAMES


@dataclass(slots=True)
class _Recording:
    """One of the joined recordings. Times are in seconds of its own clock."""

    number: int
    shift: Fraction  # what is added to its clock for the output, in seconds
    latest: Fraction  # decoding time of its last picture so far
    end: Fraction  # where the last picture so far ends


class Restarts:
    """Computes from packets by how much `StreamClock` shifts the pictures of each recording.

    The clocks of pictures and sound don't restart at the same packet. An audio packet belongs to
    the recording whose pictures are nearest in time, but not to one that its track has left.
    """

    def __init__(self, rate: Fraction | None) -> None:
        """`rate`: the pictures' frames per second; None: unknown."""
        self._frame_seconds = 1 / (rate or ASSUMED_RATE)
        self._recordings: list[_Recording] = []  # the last two
        self._current: dict[int, int] = {}  # audio track -> number of the recording it is in

    def add_picture(self, packet: Packet[VideoStream]) -> None:
        """Take the next packet of the pictures into account, in the order of the file."""
        dts = packet.dts if packet.dts is not None else packet.pts
        pts = packet.pts if packet.pts is not None else packet.dts
        if dts is None or pts is None:
            return
        decoded_at, shown_at = dts * packet.time_base, pts * packet.time_base
        if not self._recordings:
            self._recordings = [_Recording(0, Fraction(0), decoded_at, shown_at)]
        previous = current = self._recordings[-1]
        if previous.latest - decoded_at > RESTART_FRAMES * self._frame_seconds:
            shift = previous.end + previous.shift - shown_at
            current = _Recording(previous.number + 1, shift, decoded_at, shown_at)
            self._recordings = [previous, current]
        length = (packet.duration or 0) * packet.time_base or self._frame_seconds
        current.latest, current.end = decoded_at, max(current.end, shown_at + length)

    def shift_at(self, track: int, seconds: Fraction) -> Fraction:
        """Return the shift in seconds of an audio track's next packet, at this time of the file."""
        current = self._current.get(track, 0)
        candidates = [each for each in self._recordings if each.number >= current]
        if not candidates:
            return Fraction(0)
        nearest = min(candidates, key=lambda each: abs(each.latest - seconds))
        self._current[track] = nearest.number
        return nearest.shift
