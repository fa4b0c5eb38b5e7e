"""Frames of a webcam, with the times at which they came."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from faces_jobs.errors import NoVideoError
from faces_jobs.pipeline.values import Frame, MediaInfo

# A camera that has just been opened, or is shared, may miss a frame or two; not dozens.
MISSED_FRAMES = 30


class CameraReader:
    """A `FrameReader` over a camera: without an end until it goes away. Open it with `with`.

    OpenCV opens it, not PyAV: it is the one way to a camera that is the same on every system.
    """

    def __init__(self, source: int | str) -> None:
        """Open camera number `source`, or what OpenCV opens under that name.

        Raises:
            NoVideoError: there is no such camera, or it gives no picture.
        """
        # What fails is told below in a sentence; OpenCV would tell each of its tries before it.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        self._capture = cv2.VideoCapture(source)  # noqa: TID251 (the exception named above)
        width = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if not self._capture.isOpened() or not width or not height:
            self._capture.release()
            raise NoVideoError(
                f"Camera {source} can't be opened: connect one, choose another with --cam-num, "
                "or name a folder with --inputs-path."
            )
        self._info = MediaInfo(
            kind="video",
            format="camera",
            width=width,
            height=height,
            frame_count=None,
            duration_ms=None,
            average_rate=None,
            has_audio=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._capture.release()

    @property
    def info(self) -> MediaInfo:
        """Size of the camera's pictures; its length is not known."""
        return self._info

    @property
    def damaged_frames(self) -> int:
        """None that a camera tells of."""
        return 0

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames as they come, until the camera goes away."""
        index = missed = 0
        started = time.monotonic()
        while missed < MISSED_FRAMES:
            there, picture_bgr = self._capture.read()
            if not there or picture_bgr is None:
                missed += 1
                continue
            missed = 0
            yield Frame(
                index, (time.monotonic() - started) * 1000, np.asarray(picture_bgr, np.uint8)
            )
            index += 1
        if index == 0:
            raise NoVideoError("The camera gave no picture: close other programs that use it.")
