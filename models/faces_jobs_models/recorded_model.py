"""The base class of opened networks: name, version and SHA-256 from their record."""

from __future__ import annotations

from faces_jobs_models.weights import ModelRecord


class RecordedModel:
    """A network that was opened from a record."""

    def __init__(self, record: ModelRecord, *, sha256: str) -> None:
        """`sha256` is that of the weights file in use."""
        self._record = record
        self._sha256 = sha256

    @property
    def name(self) -> str:
        """Name in records and results."""
        return self._record.name

    @property
    def version(self) -> str:
        """Version of the weights."""
        return self._record.version

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights file in use."""
        return self._sha256
