"""Descriptions of every network, in use or not, from their records and files."""

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
    """A network as its record and files show it, without opening it.

    `problem` is None if nothing is wrong. `choice` is the setting's value that selects this
    detector; None for a classifier.
    """

    name: str
    purpose: str
    folder: Path
    record: ModelRecord | None
    problem: str | None
    choice: DetectorName | None = None
    in_use: bool = True


def describe(catalog: Catalog) -> list[Description]:
    """Describe every network, after comparing all its files with its record.

    Includes detectors that are installed but not chosen, and alternative weights of a classifier
    (`expression/fer2013`); their `in_use` is False.
    """
    detectors = [_detector(catalog, choice) for choice in DETECTORS]
    descriptions = [one for one in detectors if one.in_use or one.problem is None]
    classifiers = [name for name, entry in CATALOG.items() if entry.kind == "classifier"]
    for name in classifiers:
        descriptions += [_classifier(catalog, name), *_variants(catalog, name)]
    return descriptions


def _detector(catalog: Catalog, choice: DetectorName) -> Description:
    folder = detector_folder(choice, catalog.models_folder) or _HERE / DETECTORS[choice].name
    record, problem = _verified(lambda: detector_record(choice, catalog.models_folder))
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
    record, problem = _verified(lambda: catalog.record(name))
    return Description(name, CATALOG[name].purpose, catalog.folder(name), record, problem)


def _variants(catalog: Catalog, name: str) -> list[Description]:
    descriptions = []
    for path in sorted(catalog.folder(name).glob(f"*/{RECORD_NAME}")):
        variant = path.parent.name
        record, problem = _verified(partial(_variant_record, catalog, name, variant))
        purpose = f"The same, trained with the labels {variant}; only `evaluate` uses it."
        descriptions.append(
            Description(f"{name}/{variant}", purpose, path.parent, record, problem, in_use=False)
        )
    return descriptions


def _variant_record(catalog: Catalog, name: str, variant: str) -> ModelRecord:
    record = catalog.variant(name, variant)
    if record is None:
        raise ModelError(f"The folder {variant} of {name} no longer contains {RECORD_NAME}.")
    return record


def _verified(read: Callable[[], ModelRecord]) -> tuple[ModelRecord | None, str | None]:
    # A valid record is returned even if its files don't match it.
    record = None
    try:
        record = read()
        record.verify()
    except ModelError as error:
        return record, str(error)
    return record, None
