"""Readers of labelled pictures: the official layouts of known data sets, and parquet packs."""

from faces_jobs_models.training.readers.data_set import (
    DataSet,
    DetectionSample,
    DetectionSet,
    Skipped,
    describe_skipped,
)
from faces_jobs_models.training.readers.recognise import open_data, open_detection_data

__all__ = [
    "DataSet",
    "DetectionSample",
    "DetectionSet",
    "Skipped",
    "describe_skipped",
    "open_data",
    "open_detection_data",
]
