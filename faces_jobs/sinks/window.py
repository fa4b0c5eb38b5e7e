"""A window that shows annotated frames while a run goes on; `q` in it ends the run."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import cv2

from faces_jobs.jobs.records import TrackRecord
from faces_jobs.pipeline.values import Face, Frame
from faces_jobs.sinks.drawing import draw_faces

TITLE = "faces-jobs (q ends)"


class Window:
    """A `Sink` that shows each frame for `delay_ms`. Open it with `with`.

    It needs a screen: whoever opens it has looked that there is one, and has loaded the libraries
    that other threads work with. Where the screen goes away Qt ends the process, with status 1.
    """

    def __init__(self, *, delay_ms: int, on_quit: Callable[[], None]) -> None:
        """`delay_ms` 0 waits for a key after each frame; `on_quit` is called once, on `q`."""
        self._delay_ms = delay_ms
        self._on_quit = on_quit
        self._quit = False

    def __enter__(self) -> Self:
        _make_exits_short()
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        _make_exits_short()  # also before what opening it has loaded takes itself down
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        cv2.destroyWindow(TITLE)

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:  # noqa: ARG002 (a sink's signature)
        """Show one frame."""
        if self._quit:
            return
        cv2.imshow(TITLE, draw_faces(frame.picture_bgr, faces))
        if cv2.waitKey(self._delay_ms) & 0xFF == ord("q"):
            self._quit = True
            self._on_quit()

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        """Nothing is left to do."""


def _make_exits_short() -> None:
    """Have C's `exit`, which Qt calls in the midst of a run, end the process there and then.

    It would take down libraries while other threads are at work with them, and may wait for
    these for ever, deaf to signals.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit"):  # glibc's, like the X11 build of OpenCV; it hands the status on
        libc.on_exit(libc["_exit"], None)
