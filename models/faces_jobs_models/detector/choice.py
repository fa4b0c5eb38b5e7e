"""The record of the detector that is chosen (`own`, `centerface`, `yunet`), wherever it lies."""

from __future__ import annotations

from pathlib import Path

from faces_jobs.errors import ModelError
from faces_jobs.settings import DetectorName
from faces_jobs_models.detector.registry import DETECTORS
from faces_jobs_models.weights import RECORD_NAME, ModelRecord, read_record


def detector_folder(choice: DetectorName, models_folder: Path | None = None) -> Path | None:
    """The folder with the record: the models folder's, else the shipped one; None: not there."""
    known = DETECTORS[choice]
    own = models_folder / known.name if models_folder else None
    for folder in (own, known.shipped):
        if folder is not None and (folder / RECORD_NAME).is_file():
            return folder
    return None


def detector_record(choice: DetectorName, models_folder: Path | None = None) -> ModelRecord:
    """The record of the detector chosen; its weights are not read yet.

    Raises:
        ModelError: the choice is unknown, its record is not there, wrong or of another detector,
            or the package that carries its file is not installed.
    """
    if choice not in DETECTORS:
        raise ModelError(f"There is no detector {choice!r}; known are {', '.join(DETECTORS)}.")
    known = DETECTORS[choice]
    folder = detector_folder(choice, models_folder)
    if folder is None:
        raise ModelError(_how_to_get(choice, models_folder))
    elsewhere = None
    if folder == known.shipped and known.weights_folder is not None:
        elsewhere = known.weights_folder()
    record = read_record(folder, files_folder=elsewhere)
    if record.name != known.name:
        raise ModelError(
            f"{folder / RECORD_NAME} is of the detector {record.name!r}, not "
            f"{known.name!r}: put it into a folder of its name."
        )
    return record


def _how_to_get(choice: DetectorName, models_folder: Path | None) -> str:
    if DETECTORS[choice].shipped is not None:
        return (
            f"The detector {choice} has no {RECORD_NAME}. Reinstall faces-jobs, or choose another "
            f"detector ({', '.join(DETECTORS)})."
        )
    looked = f" in {models_folder}" if models_folder else ""
    return (
        f"The official weights of YuNet are not there{looked}. Bring them with "
        "`faces-jobs models fetch yunet --folder DIR`, and set FACES_JOBS_MODELS_FOLDER to DIR."
    )
