"""Derives increasing frame times from the timestamps of a stream, even if these are broken."""

from __future__ import annotations

from fractions import Fraction

ASSUMED_RATE = Fraction(25)
# If timestamps go back by more frames than this, they restarted, as in concatenated recordings.
RESTART_FRAMES = 10


class StreamClock:
    """Assigns strictly increasing times, in ticks from the stream's start, to frames.

    Timestamps that are in order are kept exactly.
    """

    def __init__(
        self,
        *,
        time_base: Fraction,
        start: int | None,
        rate: Fraction | None,
        length: int | None = None,
    ) -> None:
        """Count ticks of `time_base` seconds from `start`, or from the first frame if it is None.

        `rate` is in frames per second. `length`, in ticks, limits the duration of frames that
        start before it; set it if the durations of the stream are unreliable.
        """
        self._time_base = time_base
        self._start = start
        self._length = length
        self._default_duration = max(1, round(1 / ((rate or ASSUMED_RATE) * time_base)))
        self._last: int | None = None
        self._end = 0

    @property
    def end(self) -> int:
        """The end of the last frame, in ticks."""
        return self._end

    def milliseconds(self, ticks: int) -> float:
        """Convert ticks of the stream to milliseconds."""
        return float(ticks * self._time_base * 1000)

    def place(self, pts: int | None, duration: int | None) -> tuple[int, int]:
        """Return the time and duration of the next frame in ticks, given those of its stream."""
        if not duration or duration < 0:
            duration = self._default_duration
        ticks = self._end if pts is None else self._increasing(pts)
        if self._length is not None and ticks < self._length:
            duration = min(duration, self._length - ticks)
        self._last = ticks
        self._end = ticks + duration
        return ticks, duration

    def _increasing(self, pts: int) -> int:
        if self._start is None:
            self._start = pts
        ticks = pts - self._start
        if self._last is None or ticks > self._last:
            return ticks
        if self._last - ticks <= RESTART_FRAMES * self._default_duration:
            return self._last + 1
        self._start = pts - self._end
        return self._end
