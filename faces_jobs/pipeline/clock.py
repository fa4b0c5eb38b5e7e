"""Times of frames from the timestamps of their stream, for streams that lack or jumble them."""

from __future__ import annotations

from fractions import Fraction

ASSUMED_RATE = Fraction(25)
# Timestamps that go back by more frames than this began anew, as in joined recordings.
RESTART_FRAMES = 10


class StreamClock:
    """Gives each frame of one stream its ticks from the stream's start, always rising.

    A stream that is in order keeps its timestamps exactly.
    """

    def __init__(
        self,
        *,
        time_base: Fraction,
        start: int | None,
        rate: Fraction | None,
        length: int | None = None,
    ) -> None:
        """Count from `start` in ticks of `time_base` seconds; None: from the first frame.

        `rate` is in frames a second. `length`: ticks beyond which no frame is shown that begins
        before, where durations can't be trusted.
        """
        self._time_base = time_base
        self._start = start
        self._length = length
        self._usual = max(1, round(1 / ((rate or ASSUMED_RATE) * time_base)))
        self._last: int | None = None
        self._end = 0

    @property
    def end(self) -> int:
        """Where the last frame ends, in ticks."""
        return self._end

    def milliseconds(self, ticks: int) -> float:
        """Ticks of the stream in milliseconds."""
        return float(ticks * self._time_base * 1000)

    def place(self, pts: int | None, duration: int | None) -> tuple[int, int]:
        """Ticks from the start and duration of the next frame, from what its stream says."""
        shown = duration if duration and duration > 0 else self._usual
        ticks = self._end if pts is None else self._rising(pts)
        if self._length is not None and ticks < self._length:
            shown = min(shown, self._length - ticks)
        self._last = ticks
        self._end = ticks + shown
        return ticks, shown

    def _rising(self, pts: int) -> int:
        if self._start is None:
            self._start = pts
        ticks = pts - self._start
        if self._last is None or ticks > self._last:
            return ticks
        if self._last - ticks <= RESTART_FRAMES * self._usual:
            return self._last + 1
        self._start = pts - self._end
        return self._end
