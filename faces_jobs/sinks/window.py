"""A window that shows annotated frames during a run; pressing `q` in it ends the run."""

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

    The caller has checked that there is a screen, and has loaded the libraries that other threads
    use. If the screen disappears, Qt ends the process with status 1.
    """

    def __init__(self, *, delay_ms: int, on_quit: Callable[[], None]) -> None:
        """`delay_ms` 0 waits for a key after each frame; `on_quit` is called once, on `q`."""
        self._delay_ms = delay_ms
        self._on_quit = on_quit
        self._quit = False

    def __enter__(self) -> Self:
        _skip_exit_handlers()
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        _skip_exit_handlers()  # again: opening the window has loaded libraries with handlers
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
        """Do nothing: every frame has been shown."""


def _skip_exit_handlers() -> None:
    """Make C's `exit`, which Qt calls if the screen disappears, end the process immediately.

    Its handlers would unload libraries while other threads use them, and could wait for those
    threads forever, without reacting to signals.
    """
    libc = ctypes.CDLL(None)
    # Only glibc has `on_exit`, which passes the status on; OpenCV's X11 build requires glibc, too.
    if hasattr(libc, "on_exit"):
        libc.on_exit(libc["_exit"], None)
