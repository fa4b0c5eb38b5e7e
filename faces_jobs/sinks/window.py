"""A window that shows annotated frames during a run; pressing `q` or closing it ends the run."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import cv2

from faces_jobs.jobs.records import TrackRecord
from faces_jobs.pipeline.values import Face, Frame
from faces_jobs.sinks.drawing import draw_faces

TITLE = "faces-jobs (q ends)"
# OpenCV returns at least this often while it waits: Python handles signals, such as that of
# Ctrl-C, only in between.
MAX_WAIT_MS = 50
_NO_KEY = -1


class Window:
    """A `Sink` that shows each frame for `delay_ms`. Open it with `with`.

    The caller has checked that there is a screen, and has loaded the libraries that other threads
    use. If the screen disappears, Qt ends the process with status 1.
    """

    def __init__(self, *, delay_ms: int, stopped: threading.Event) -> None:
        """`delay_ms` 0 waits for a key after each frame.

        `stopped` is set on `q`, or if the window is closed; once it is set nothing is shown.
        """
        self._delay_ms = delay_ms
        self._stopped = stopped

    def __enter__(self) -> Self:
        _name_a_font_folder()
        _skip_exit_handlers()
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        _skip_exit_handlers()  # again: opening the window has loaded libraries with handlers
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(cv2.error):  # the user has closed it
            cv2.destroyWindow(TITLE)

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:  # noqa: ARG002 (a sink's signature)
        """Show one frame."""
        if self._stopped.is_set():
            return
        cv2.imshow(TITLE, draw_faces(frame.picture_bgr, faces))
        end = time.monotonic() + self._delay_ms / 1000 if self._delay_ms else math.inf
        while not self._stopped.is_set():
            left_ms = min(MAX_WAIT_MS, (end - time.monotonic()) * 1000)
            key = cv2.waitKey(max(1, math.ceil(left_ms)))
            if _is_closed() or key & 0xFF == ord("q"):
                self._stopped.set()
            if key != _NO_KEY or time.monotonic() >= end:
                return

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        """Do nothing: every frame has been shown."""


def _is_closed() -> bool:
    try:
        return bool(cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) == 0)
    except cv2.error:
        return True  # Qt ends with its last window


def _name_a_font_folder() -> None:
    """Replace the folder of fonts that OpenCV names, but whose wheel does not contain.

    Qt would print a warning for each text of the window, such as its tool tips.
    """
    folder = os.environ.get("QT_QPA_FONTDIR")  # noqa: TID251 (OpenCV sets it for Qt)
    if folder and not Path(folder).is_dir():
        os.environ["QT_QPA_FONTDIR"] = str(Path(cv2.__file__).parent)  # noqa: TID251 (read by Qt)


def _skip_exit_handlers() -> None:
    """Make C's `exit`, which Qt calls if the screen disappears, end the process immediately.

    Its handlers would unload libraries while other threads use them, and could wait for those
    threads forever, without reacting to signals.
    """
    libc = ctypes.CDLL(None)
    # Only glibc has `on_exit`, which passes the status on; OpenCV's X11 build requires glibc, too.
    if hasattr(libc, "on_exit"):
        libc.on_exit(libc["_exit"], None)
