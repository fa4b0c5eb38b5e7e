"""Opens the detector of a record with default options on the CPU or a device."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from faces_jobs.errors import ModelError
from faces_jobs_models.detector.batched import BatchedDetector
from faces_jobs_models.detector.options import CUDA_FRAMES_A_RUN, DetectorOptions
from faces_jobs_models.detector.registry import family_of
from faces_jobs_models.weights import RECORD_NAME, ModelRecord

if TYPE_CHECKING:
    from faces_jobs_models.on_device.networks import DeviceNetworks


def open_detector(
    record: ModelRecord,
    *,
    threads: int = 1,
    on_device: DeviceNetworks | None = None,
    options: DetectorOptions | None = None,
    frames_a_run: int | None = None,
) -> BatchedDetector:
    """Verify a record's files and open its detector: on the CPU, or on `on_device`.

    `frames_a_run` overrides the options and the default.

    Raises:
        ModelError: a file is missing, has changed or holds another network.
    """
    family = family_of(record)
    if options is None:
        default = 1 if on_device is None else CUDA_FRAMES_A_RUN
        options = DetectorOptions(iou_threshold=family.iou_threshold, frames_a_run=default)
    if frames_a_run is not None:
        options = replace(options, frames_a_run=frames_a_run)
    if not set(family.files) <= record.files.keys():
        raise ModelError(
            f"{record.folder / RECORD_NAME} must name the files {' and '.join(family.files)}. "
            "Export or fetch the detector again."
        )
    record.verify()
    if on_device is not None:
        return on_device.detector(record, options)
    return family.on_cpu(record, options, threads=threads)
