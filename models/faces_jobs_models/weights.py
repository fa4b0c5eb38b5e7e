"""A model's record: what `weights.toml` says of its weights, checked before they are used."""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from faces_jobs.errors import ModelError

RECORD_NAME = "weights.toml"
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One file of a model: where it lies, and what it must be."""

    path: Path
    sha256: str
    bytes: int

    def verify(self) -> None:
        """Compare the file with its record.

        Raises:
            ModelError: it is missing, of another size, or its SHA-256 differs.
        """
        if not self.path.is_file():
            raise ModelError(
                f"The weights file {self.path} is missing. Reinstall faces-jobs, or put the file "
                f"back beside its {RECORD_NAME}."
            )
        size = self.path.stat().st_size
        found = sha256_of(self.path) if size == self.bytes else None
        if found != self.sha256:
            was = f"SHA-256 {found}" if found else f"{size} bytes"
            should = f"SHA-256 {self.sha256}" if found else f"{self.bytes} bytes"
            raise ModelError(
                f"The weights file {self.path} has changed since it was recorded: it has {was}, "
                f"its {RECORD_NAME} says {should}. Reinstall faces-jobs, or export the model "
                "again so that file and record belong together."
            )


@dataclass(frozen=True, slots=True)
class Calibration:
    """What makes a head's answers honest; the defaults leave them as they are.

    The network's file divides by `temperature` itself, so its probabilities are calibrated; the
    number is told here. Answers whose best probability is below `unsure_below` are `unsure`,
    unless a setting or a job says otherwise. `folds` are the same two numbers fitted without the
    people of each fold (`training/folds.py`), who are measured by those; nothing else uses them.
    """

    temperature: float = 1.0
    unsure_below: float = 0.0
    folds: tuple[Calibration, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature must be above 0, not {self.temperature}")
        if not 0 <= self.unsure_below <= 1:
            raise ValueError(f"unsure_below must be from 0 to 1, not {self.unsure_below}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """What is known of a model's weights. `files` maps a format ("onnx") to its file."""

    name: str
    version: str
    architecture: str
    licence: str
    terms: str
    source: str
    colour: str
    scaling: str
    input_size: int | None  # side of the square crop in pixels; None: any picture
    crop_scale: float | None  # side of the crop in units of the box's longer side
    heads: Mapping[str, tuple[str, ...]]
    files: Mapping[str, WeightsFile]
    network: Mapping[str, Any]  # the network's own options, for the class that builds it
    figures: Mapping[str, Mapping[str, Mapping[str, float]]]  # head -> data set -> figure
    folder: Path
    calibration: Mapping[str, Calibration] = field(default_factory=dict)  # every head has one

    def verify(self) -> None:
        """Check every file of the model.

        Raises:
            ModelError: one is missing or has changed.
        """
        for file in self.files.values():
            file.verify()

    def check_model(self, name: str, heads: Mapping[str, tuple[str, ...]]) -> None:
        """Check that this is a classifier of that name with exactly these heads and labels.

        Raises:
            ModelError: it is another model, or its labels or their order differ.
        """
        where = self.folder / RECORD_NAME
        if self.name != name:
            raise ModelError(f"{where} is of the model {self.name!r}, not {name!r}.")
        if list(self.heads.items()) != list(heads.items()):
            raise ModelError(
                f"The heads or labels in {where} are not those of this version of faces-jobs "
                f"({_listed(heads)}); it has {_listed(self.heads)}. Train or export it again."
            )
        missing = {"onnx", "safetensors"} - self.files.keys()
        if missing or self.input_size is None or self.crop_scale is None:
            raise ModelError(
                f"{where} must name the files onnx and safetensors, input.size and "
                "input.crop_scale. Export the model again."
            )


def read_record(folder: Path, *, files_folder: Path | None = None) -> ModelRecord:
    """The record in a model's folder; no weights are read yet.

    Args:
        folder: holds `weights.toml`.
        files_folder: where the weights files lie, if not in `folder`; those that the record
            calls `beside` are there nevertheless.

    Raises:
        ModelError: there is no record, or something in it is missing or of another type.
    """
    path = folder / RECORD_NAME
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except FileNotFoundError as error:
        raise ModelError(
            f"There is no {RECORD_NAME} in {folder}. A model's folder holds {RECORD_NAME}, "
            "model.onnx and model.safetensors."
        ) from error
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} can't be read: {error}.") from error
    try:
        return _record(content, folder, files_folder or folder)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{path} is not a whole record ({type(error).__name__}: {error}). "
            "Export the model again."
        ) from error


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _record(content: Mapping[str, Any], folder: Path, files_folder: Path) -> ModelRecord:
    given = content["input"]
    files = {
        kind: WeightsFile(
            path=(folder if file.get("beside") else files_folder) / _file_name(file["path"]),
            sha256=str(file["sha256"]),
            bytes=int(file["bytes"]),
        )
        for kind, file in content["files"].items()
    }
    heads = {head: tuple(labels) for head, labels in content.get("heads", {}).items()}
    return ModelRecord(
        name=str(content["name"]),
        version=str(content["version"]),
        architecture=str(content["architecture"]),
        licence=str(content["licence"]),
        terms=str(content["terms"]),
        source=str(content["source"]),
        colour=str(given["colour"]),
        scaling=str(given["scaling"]),
        input_size=int(given["size"]) if "size" in given else None,
        crop_scale=float(given["crop_scale"]) if "crop_scale" in given else None,
        heads=MappingProxyType(heads),
        files=MappingProxyType(files),
        network=MappingProxyType(dict(content.get("network", {}))),
        figures=MappingProxyType(dict(content.get("figures", {}))),
        folder=folder,
        calibration=MappingProxyType(_calibration(content.get("calibration", {}), heads)),
    )


def _calibration(
    content: Mapping[str, Any], heads: Mapping[str, tuple[str, ...]]
) -> dict[str, Calibration]:
    unknown = content.keys() - heads.keys()
    if unknown:
        raise ValueError(f"calibration of {', '.join(sorted(unknown))}, which is no head")
    return {head: _calibration_of(head, content.get(head, {})) for head in heads}


def _calibration_of(head: str, content: Mapping[str, Any]) -> Calibration:
    numbers = {
        name: _number(f"{head}.{name}", value) for name, value in content.items() if name != "folds"
    }
    folds = []
    for pair in content.get("folds", []):
        temperature, unsure_below = pair
        folds.append(
            Calibration(
                _number(f"{head}.folds", temperature), _number(f"{head}.folds", unsure_below)
            )
        )
    return Calibration(**numbers, folds=tuple(folds))


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"calibration.{name} must be a number, not {value!r}")
    return float(value)


def _listed(heads: Mapping[str, tuple[str, ...]]) -> str:
    return "; ".join(f"{head}: {', '.join(labels)}" for head, labels in heads.items()) or "none"


def _file_name(value: object) -> str:
    # A record from elsewhere must not point at files outside its own folder.
    name = str(value)
    if name != Path(name).name or name in {"", ".", ".."}:
        raise ValueError(f"file name {name!r} is not a plain name")
    return name
