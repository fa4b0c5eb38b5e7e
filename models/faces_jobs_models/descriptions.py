"""What can be told of every network without running it: for lists, and for checks of the files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from faces_jobs.errors import ModelError
from faces_jobs.settings import DetectorName
from faces_jobs_models.catalog import CATALOG, Catalog
from faces_jobs_models.detector.choice import detector_folder, detector_record
from faces_jobs_models.detector.registry import DETECTORS
from faces_jobs_models.weights import RECORD_NAME, ModelRecord

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Description:
    """What can be told of a network without opening it. `problem` is None where all is well.

    `choice` is the setting's value that means this detector; `in_use` says whether it is in force.
    """

    name: str
    purpose: str
    folder: Path
    record: ModelRecord | None
    problem: str | None
    choice: DetectorName | None = None
    in_use: bool = True


def describe(catalog: Catalog) -> list[Description]:
    """Every network with its record and, after reading every file, what is wrong with it.

    Detectors that are there but not chosen are among them, and other trainings of a classifier
    (`expression/fer2013`), `in_use` being False.
    """
    told = [_detector(catalog, choice) for choice in DETECTORS]
    told = [one for one in told if one.in_use or one.problem is None]
    classifiers = [name for name, entry in CATALOG.items() if entry.kind == "classifier"]
    for name in classifiers:
        told += [_classifier(catalog, name), *_variants(catalog, name)]
    return told


def _detector(catalog: Catalog, choice: DetectorName) -> Description:
    folder = detector_folder(choice, catalog.models_folder) or _HERE / DETECTORS[choice].name
    record, problem = _looked_into(lambda: detector_record(choice, catalog.models_folder))
    return Description(
        "detector",
        CATALOG["detector"].purpose,
        folder,
        record,
        problem,
        choice=choice,
        in_use=choice == catalog.detector_choice,
    )


def _classifier(catalog: Catalog, name: str) -> Description:
    record, problem = _looked_into(lambda: catalog.record(name))
    return Description(name, CATALOG[name].purpose, catalog.folder(name), record, problem)


def _variants(catalog: Catalog, name: str) -> list[Description]:
    told = []
    for path in sorted(catalog.folder(name).glob(f"*/{RECORD_NAME}")):
        variant = path.parent.name
        record, problem = _looked_into(partial(_variant_there, catalog, name, variant))
        purpose = f"The same, trained with the labels {variant}; for `evaluate` alone."
        told.append(
            Description(f"{name}/{variant}", purpose, path.parent, record, problem, in_use=False)
        )
    return told


def _variant_there(catalog: Catalog, name: str, variant: str) -> ModelRecord:
    record = catalog.variant(name, variant)
    if record is None:
        raise ModelError(f"The folder {variant} of {name} has lost its {RECORD_NAME}.")
    return record


def _looked_into(read: Callable[[], ModelRecord]) -> tuple[ModelRecord | None, str | None]:
    # A record that can be read is told of even where its files are not what it says.
    record = None
    try:
        record = read()
        record.verify()
    except ModelError as error:
        return record, str(error)
    return record, None
