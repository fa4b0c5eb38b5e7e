"""The protocols of the pipeline's components, which know each other only by these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from faces_jobs.jobs.records import TrackRecord
from faces_jobs.jobs.spec import DEFAULT_DETECTION_SIZE
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
    """Yields the frames of one item in order of time. Its creator opens and closes it (`with`)."""

    @property
    def info(self) -> MediaInfo:
        """The properties of the file, known before iteration."""

    @property
    def damaged_frames(self) -> int:
        """How many frames were left out, or are incomplete, due to damage, so far."""

    def __iter__(self) -> Iterator[Frame]:
        """Yield every decoded frame once.

        Raises:
            TruncatedError: the file ends before its stream does; raised after the last whole frame.
            NoVideoError: no frame can be decoded.
        """


class VersionedModel(Protocol):
    """A network whose weights are identified by a name, a version and a checksum."""

    @property
    def name(self) -> str:
        """Name of the network in records and results."""

    @property
    def version(self) -> str:
        """Version of the weights in use."""

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights file in use, in hex; stored with every result."""


class Detector(VersionedModel, Protocol):
    """Finds faces. Boxes are clamped to the frame and at least one pixel wide and high."""

    def detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
        """Return the detections of each picture; all pictures of a call have the same size."""


class Classifier(VersionedModel, Protocol):
    """One of the three models: predicts, for each crop, the probabilities of each of its heads."""

    @property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """Head name to its labels, in the order of the probabilities."""

    @property
    def unsure_below(self) -> Mapping[str, float]:
        """Head name to its threshold for `unsure`; heads that are absent have none."""

    @property
    def crop_scale(self) -> float:
        """Side of the square crop as a multiple of the box's longer side."""

    @property
    def crop_size(self) -> int:
        """Side of the resized crop in pixels."""

    def classify(self, crops_bgr: Sequence[Picture]) -> list[Opinion]:
        """Return one opinion for each crop of `crop_size` x `crop_size` pixels."""


class Cropper(Protocol):
    """Crops faces with the geometry of `crops.squares_around`."""

    def __call__(
        self,
        pictures_bgr: Sequence[Picture],
        boxes_xyxy: Sequence[Boxes],
        *,
        scale: float,
        size: int,
    ) -> list[Picture]:
        """Return the crops of all boxes, (size, size, 3) each, in the order of the pictures."""


class Networks(Protocol):
    """Provides the networks; each is loaded on first use and cached."""

    def detector(self, detection_size: int = DEFAULT_DETECTION_SIZE) -> Detector:
        """Return the face detector.

        Args:
            detection_size: it finds faces that are large enough in pictures scaled down to this
                many pixels on the longer side.

        Raises:
            ModelError: its weights file is missing or was modified.
        """

    def classifiers(self, names: Sequence[str]) -> Sequence[Classifier]:
        """Return the classifiers with these names, in the same order.

        Raises:
            ModelError: a weights file is missing, was modified or doesn't match its network.
        """

    def cropper(self) -> Cropper:
        """Return the cropper that suits the classifiers."""


class Tracker(Protocol):
    """Links detections through the frames of one item. Each item needs an instance of its own."""

    def update(self, frame: Frame, detections: Detections) -> list[int]:
        """Return the track number, from 1, of each detection of the next frame."""


class Sink(Protocol):
    """Consumes results. Its creator opens and closes it (`with`).

    A sink writes to temporary files and moves them into place when it is closed without an error.
    """

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:
        """Consume the next frame and its faces, sorted from left to right.

        `analysed` is False for frames that were skipped; they come with the faces of the last
        analysed frame, which are to be drawn but not counted again.
        """

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        """Consume the tracks of the item; called once, after its last frame."""
