"""The three classifiers behind one wrapper: crops in, probabilities of each head out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Opinion, Picture
from faces_jobs_models.recorded import Recorded
from faces_jobs_models.weights import ModelRecord

_CROPS_A_RUN = 16  # onnxruntime gives fewer crops a second above it: they leave the cache


class Session(Protocol):
    """A network on some runtime."""

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """(n, 3, size, size) float32 BGR 0..255 to (n, labels) probabilities, one array a head."""


class AttributeClassifier(Recorded):
    """Gender, expression or multiple, as its record says. Implements `Classifier`."""

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
        """Head name to its labels, in the order of the probabilities."""
        return self._record.heads

    @property
    def unsure_below(self) -> Mapping[str, float]:
        """Head name to the probability below which its answer is `unsure`, by the record."""
        return {head: one.unsure_below for head, one in self._record.calibration.items()}

    @property
    def crop_scale(self) -> float:
        """Side of the square crop, in units of the box's longer side."""
        return self._crop_scale

    @property
    def crop_size(self) -> int:
        """Side of the crop in pixels."""
        return self._crop_size

    def classify(self, crops_bgr: Sequence[Picture]) -> list[Opinion]:
        """Probabilities for each crop.

        Args:
            crops_bgr: uint8, (size, size, 3) BGR as `crop_faces` cuts them. Gray crops of
                (height, width) or (height, width, 1) and crops of another size are converted.

        Returns:
            One opinion a crop: head name to (labels,) float32 that sum to 1.

        Raises:
            ValueError: a crop is empty, not uint8, or has another number of channels.
        """
        opinions: list[Opinion] = []
        for start in range(0, len(crops_bgr), self._crops_a_run):
            outputs = self._answers(crops_bgr[start : start + self._crops_a_run])
            opinions.extend(
                dict(zip(self.heads, rows, strict=True)) for rows in zip(*outputs, strict=True)
            )
        return opinions

    def _answers(self, crops_bgr: Sequence[Picture]) -> Sequence[NDArray[np.float32]]:
        """Of one run: (n, labels) probabilities, one array a head."""
        return self._session.run(to_batch(crops_bgr, self._crop_size))


def to_batch(crops_bgr: Sequence[Picture], size: int) -> NDArray[np.float32]:
    """Crops to the networks' input: (n, 3, size, size) float32 BGR 0..255."""
    batch = np.empty((len(crops_bgr), 3, size, size), np.float32)
    for index, crop in enumerate(crops_bgr):
        batch[index] = _as_bgr(crop, size).transpose(2, 0, 1)
    return batch


def _as_bgr(crop: Picture, size: int) -> Picture:
    if crop.dtype != np.uint8 or crop.ndim not in {2, 3} or 0 in crop.shape:
        raise ValueError(
            f"a crop must be a uint8 picture with pixels; got {crop.dtype} {crop.shape}"
        )
    if crop.ndim == 2 or crop.shape[2] == 1:
        crop = np.repeat(crop.reshape(*crop.shape[:2], 1), 3, axis=2)
    if crop.shape[2] != 3:
        raise ValueError(f"a crop must be BGR or gray; got {crop.shape[2]} channels")
    if crop.shape[:2] != (size, size):
        shrinking = max(crop.shape[:2]) > size
        how = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
        crop = np.asarray(cv2.resize(crop, (size, size), interpolation=how), np.uint8)
    return crop
