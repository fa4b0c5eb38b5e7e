"""Keeps sound in step with pictures where a file's clock begins anew, as in joined recordings."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from av.packet import Packet
from av.video.stream import VideoStream

from faces_jobs.pipeline.clock import ASSUMED_RATE, RESTART_FRAMES


@dataclass(slots=True)
class _Recording:
    """One of those that were joined; all in seconds of its own clock but the shift."""

    number: int
    shift: Fraction  # by which its pictures come later than that clock says
    latest: Fraction  # when its last picture so far was stored
    end: Fraction  # where the pictures so far end


class Restarts:
    """By how much `StreamClock` shifts the pictures of each recording, told from their packets.

    Pictures and sound don't begin anew at the same packet. A packet of sound belongs to the
    recording whose pictures are nearest to it, but never to one before that of its track.
    """

    def __init__(self, rate: Fraction | None) -> None:
        """`rate`: frames a second, None where nobody knows."""
        self._frame_seconds = 1 / (rate or ASSUMED_RATE)
        self._recordings: list[_Recording] = []  # the last two
        self._reached: dict[int, int] = {}  # the number of the recording that each track is in

    def see(self, packet: Packet[VideoStream]) -> None:
        """Note the next packet of the pictures, in the order in which they are stored."""
        stored = packet.dts if packet.dts is not None else packet.pts
        shown = packet.pts if packet.pts is not None else packet.dts
        if stored is None or shown is None:
            return
        at, shown_at = stored * packet.time_base, shown * packet.time_base
        if not self._recordings:
            self._recordings = [_Recording(0, Fraction(0), at, shown_at)]
        before = now = self._recordings[-1]
        if before.latest - at > RESTART_FRAMES * self._frame_seconds:
            shift = before.end + before.shift - shown_at
            now = _Recording(before.number + 1, shift, at, shown_at)
            self._recordings = [before, now]
        length = (packet.duration or 0) * packet.time_base or self._frame_seconds
        now.latest, now.end = at, max(now.end, shown_at + length)

    def shift_at(self, track: int, seconds: Fraction) -> Fraction:
        """By how many seconds the next packet of a track comes later that its file puts there."""
        reached = self._reached.get(track, 0)
        possible = [each for each in self._recordings if each.number >= reached]
        if not possible:
            return Fraction(0)
        nearest = min(possible, key=lambda each: abs(each.latest - seconds))
        self._reached[track] = nearest.number
        return nearest.shift
