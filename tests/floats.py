"""CenterFace as its package carries it, without the eight bits that ship beside it."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from faces_jobs_models.weights import ModelRecord


def float_record(record: ModelRecord) -> ModelRecord:
    """As a record in a models folder that has the float file alone."""
    return replace(record, files=MappingProxyType({"onnx": record.files["onnx"]}))
