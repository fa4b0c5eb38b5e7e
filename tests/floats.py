"""CenterFace in floating point, without the quantised file that ships beside it."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from faces_jobs_models.weights import ModelRecord


def float_record(record: ModelRecord) -> ModelRecord:
    """Return the record as if its models folder had the floating-point file only."""
    return replace(record, files=MappingProxyType({"onnx": record.files["onnx"]}))
