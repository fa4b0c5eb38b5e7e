"""The wrapper of all three classifiers: takes crops, returns the probabilities of each head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Opinion, Picture
from faces_jobs_models.recorded_model import RecordedModel
from faces_jobs_models.weights import ModelRecord

_CROPS_A_RUN = 16  # more crops no longer fit the CPU's cache, and throughput drops


class Session(Protocol):
    """A classifier network on one runtime."""

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """(n, 3, size, size) float32 BGR 0..255 -> (n, labels) probabilities of each head."""


class AttributeClassifier(RecordedModel):
    """The classifier that a record describes. Implements `Classifier`."""

    def __init__(
        self,
        session: Session,
        record: ModelRecord,
        *,
        sha256: str,
        crops_a_run: int | None = None,
    ) -> None:
        if record.input_size is None or record.crop_scale is None:
            raise ValueError(f"the record of {record.name} has no crop size or scale")
        super().__init__(record, sha256=sha256)
        self._session = session
        self._crop_size = record.input_size
        self._crop_scale = record.crop_scale
        self._crops_a_run = crops_a_run or _CROPS_A_RUN

    @property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """Head name -> its labels, in the order of the probabilities."""
        return self._record.heads

    @property
    def unsure_below(self) -> Mapping[str, float]:
        """Head name -> the record's threshold: predictions less probable than it are `unsure`."""
        return {
            head: calibration.unsure_below for head, calibration in self._record.calibration.items()
        }

    @property
    def crop_scale(self) -> float:
        """Side of the square crop, in units of the box's longer side."""
        return self._crop_scale

    @property
    def crop_size(self) -> int:
        """Side of the crop in pixels."""
        return self._crop_size

    def classify(self, crops_bgr: Sequence[Picture]) -> list[Opinion]:
        """Return the probabilities of each crop.

        Args:
            crops_bgr: (size, size, 3) uint8 BGR, as `crop_faces` returns them. Gray crops of
                (height, width) or (height, width, 1) and crops of another size are converted.

        Returns:
            One opinion a crop: head name -> (labels,) float32 that sum to 1.

        Raises:
            ValueError: a crop is empty, not uint8, or has another number of channels.
        """
        opinions: list[Opinion] = []
        for start in range(0, len(crops_bgr), self._crops_a_run):
            outputs = self._predict(crops_bgr[start : start + self._crops_a_run])
            opinions.extend(
                dict(zip(self.heads, rows, strict=True)) for rows in zip(*outputs, strict=True)
            )
        return opinions

    def _predict(self, crops_bgr: Sequence[Picture]) -> Sequence[NDArray[np.float32]]:
        """Run the network once: (n, labels) probabilities of each head."""
        return self._session.run(to_batch(crops_bgr, self._crop_size))


def to_batch(crops_bgr: Sequence[Picture], size: int) -> NDArray[np.float32]:
    """Convert crops to a network's input: (n, 3, size, size) float32 BGR 0..255."""
    batch = np.empty((len(crops_bgr), 3, size, size), np.float32)
    for index, crop in enumerate(crops_bgr):
        batch[index] = _as_bgr(crop, size).transpose(2, 0, 1)
    return batch


def _as_bgr(crop: Picture, size: int) -> Picture:
    if crop.dtype != np.uint8 or crop.ndim not in {2, 3} or 0 in crop.shape:
        raise ValueError(f"a crop must be a non-empty uint8 picture; got {crop.dtype} {crop.shape}")
    if crop.ndim == 2 or crop.shape[2] == 1:
        crop = np.repeat(crop.reshape(*crop.shape[:2], 1), 3, axis=2)
    if crop.shape[2] != 3:
        raise ValueError(f"a crop must be BGR or gray; got {crop.shape[2]} channels")
    if crop.shape[:2] != (size, size):
        interpolation = cv2.INTER_AREA if max(crop.shape[:2]) > size else cv2.INTER_LINEAR
        crop = np.asarray(cv2.resize(crop, (size, size), interpolation=interpolation), np.uint8)
    return crop
