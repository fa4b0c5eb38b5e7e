"""Finds the record of the chosen detector (`own`, `centerface` or `yunet`)."""

from __future__ import annotations

from pathlib import Path

from faces_jobs.errors import ModelError
from faces_jobs.settings import DetectorName
from faces_jobs_models.detector.registry import DETECTORS
from faces_jobs_models.weights import RECORD_NAME, ModelRecord, read_record


def detector_folder(choice: DetectorName, models_folder: Path | None = None) -> Path | None:
    """Return the folder with the detector's record: in the models folder, else as shipped.

    None if there is neither.
    """
    known = DETECTORS[choice]
    in_models_folder = models_folder / known.name if models_folder else None
    for folder in (in_models_folder, known.shipped):
        if folder is not None and (folder / RECORD_NAME).is_file():
            return folder
    return None


def detector_record(choice: DetectorName, models_folder: Path | None = None) -> ModelRecord:
    """Read the record of the chosen detector, without reading its weights.

    Raises:
        ModelError: the choice is unknown, its record is missing, invalid or of another detector,
            or the package that contains its weights is not installed.
    """
    if choice not in DETECTORS:
        raise ModelError(f"Unknown detector {choice!r}; the detectors are {', '.join(DETECTORS)}.")
    known = DETECTORS[choice]
    folder = detector_folder(choice, models_folder)
    if folder is None:
        raise ModelError(_missing_message(choice, models_folder))
    files_folder = None
    if folder == known.shipped and known.weights_folder is not None:
        files_folder = known.weights_folder()
    record = read_record(folder, files_folder=files_folder)
    if record.name != known.name:
        raise ModelError(
            f"{folder / RECORD_NAME} describes the detector {record.name!r}, not "
            f"{known.name!r}: move it to a folder named {record.name!r}."
        )
    return record


def _missing_message(choice: DetectorName, models_folder: Path | None) -> str:
    if DETECTORS[choice].shipped is not None:
        return (
            f"The detector {choice} has no {RECORD_NAME}. Reinstall faces-jobs, or choose another "
            f"detector ({', '.join(DETECTORS)})."
        )
    where = f" from {models_folder}" if models_folder else ""
    return (
        f"The official weights of YuNet are missing{where}. Download them with "
        "`faces-jobs models fetch yunet --folder DIR`, and set FACES_JOBS_MODELS_FOLDER to DIR."
    )
