"""Reads frames from a camera, with the times at which they were received."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Self

import cv2
import numpy as np

from faces_jobs.errors import NoVideoError
from faces_jobs.pipeline.values import Frame, MediaInfo

# A camera that was just opened, or is shared, may fail to deliver a few frames in a row.
MAX_MISSED_FRAMES = 30


class CameraReader:
    """A `FrameReader` for a camera, endless until it is disconnected. Open it with `with`.

    It uses OpenCV instead of PyAV, because only OpenCV opens cameras the same way on every system.
    """

    def __init__(self, source: int | str) -> None:
        """Open the camera with this number, or whatever OpenCV opens by this name.

        Raises:
            NoVideoError: there is no such camera, or it delivers no picture.
        """
        # The error below suffices; OpenCV would also log each of its attempts.
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

    def __exit__(self, *exception: object) -> None:
        self._capture.release()

    @property
    def info(self) -> MediaInfo:
        """The frame size; length and rate are unknown."""
        return self._info

    @property
    def damaged_frames(self) -> int:
        """Always 0: cameras report no damaged frames."""
        return 0

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames as they arrive, until the camera is disconnected.

        Raises:
            NoVideoError: the camera delivered no picture.
        """
        index = missed = 0
        started = time.monotonic()
        while missed < MAX_MISSED_FRAMES:
            succeeded, picture_bgr = self._capture.read()
            if not succeeded or picture_bgr is None:
                missed += 1
                continue
            missed = 0
            yield Frame(
                index, (time.monotonic() - started) * 1000, np.asarray(picture_bgr, np.uint8)
            )
            index += 1
        if index == 0:
            raise NoVideoError("The camera delivered no picture: close other programs that use it.")
