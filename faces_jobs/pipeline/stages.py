"""The protocols of the pipeline's stages. Stages share values, never each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from faces_jobs.jobs.records import TrackRecord
from faces_jobs.pipeline.values import (
    Boxes,
    Detections,
    Face,
    Frame,
    MediaInfo,
    Opinion,
    Picture,
)


class FrameReader(Protocol):
    """Frames of one item in order of time. Opened and closed by whoever made it (`with`)."""

    @property
    def info(self) -> MediaInfo:
        """What the header says; read before any frame is decoded."""

    @property
    def damaged_frames(self) -> int:
        """Frames left out, or shown in part, because the file is damaged there; so far."""

    def __iter__(self) -> Iterator[Frame]:
        """Yield every decoded frame once.

        Raises:
            TruncatedError: after the last whole frame, if the file ends before its stream does.
            NoVideoError: if not one frame can be decoded.
        """


class Recorded(Protocol):
    """Something that answers with the weights of a record."""

    @property
    def name(self) -> str:
        """Name in records and results."""

    @property
    def version(self) -> str:
        """Version of the weights in use."""

    @property
    def sha256(self) -> str:
        """Of the weights file in use; recorded beside every result."""


class Detector(Recorded, Protocol):
    """Finds faces. Boxes are clamped to the frame and of at least one pixel."""

    def detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
        """One `Detections` for each picture; pictures of one call have the same size."""


class Classifier(Recorded, Protocol):
    """One of the three models: crops in, probabilities of each of its heads out."""

    @property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """Head name to its labels, in the order of the probabilities."""

    @property
    def unsure_below(self) -> Mapping[str, float]:
        """Head name to the probability below which an answer is `unsure`; absent: never."""

    @property
    def crop_scale(self) -> float:
        """Side of the square crop, in units of the box's longer side."""

    @property
    def crop_size(self) -> int:
        """Side of the crop in pixels after resizing."""

    def classify(self, crops_bgr: Sequence[Picture]) -> list[Opinion]:
        """One opinion for each crop of `crop_size` x `crop_size` pixels."""


class Cropper(Protocol):
    """Cuts faces out of pictures, by the one geometry of `crops.squares_around`."""

    def __call__(
        self,
        pictures_bgr: Sequence[Picture],
        boxes_xyxy: Sequence[Boxes],
        *,
        scale: float,
        size: int,
    ) -> list[Picture]:
        """The crops of each picture's boxes, (size, size, 3), picture by picture."""


class Networks(Protocol):
    """Gives out networks; opens each when it is first asked for, and keeps it."""

    def detector(self) -> Detector:
        """The face detector.

        Raises:
            ModelError: its file is missing or has changed.
        """

    def classifiers(self, names: Sequence[str]) -> Sequence[Classifier]:
        """The classifiers of these names, in their order.

        Raises:
            ModelError: a file is missing, changed or of another shape.
        """

    def cropper(self) -> Cropper:
        """Cuts faces out for these classifiers."""


class Tracker(Protocol):
    """Links detections through the frames of one item. One instance an item."""

    def update(self, frame: Frame, detections: Detections) -> list[int]:
        """The track number, from 1, of each detection of this frame, in its order."""


class Sink(Protocol):
    """Where results go. Opened and closed by whoever made it (`with`).

    A sink's files are beside their final place until it is closed without an error.
    """

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:
        """Take one frame, in order, with its faces from left to right.

        `analysed` is False for frames that a stride left out; their faces are those of the last
        frame that was analysed, to be drawn but not to be counted again.
        """

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        """Take the item's tracks, once, after its last frame."""
