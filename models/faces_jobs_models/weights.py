"""A model's record (`weights.toml`): read, validated, and compared with its weights files."""

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


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One weights file: its path, and the size and SHA-256 that it must have."""

    path: Path
    sha256: str
    bytes: int

    def verify(self) -> None:
        """Compare the file with its record.

        Raises:
            ModelError: the file is missing, or its size or SHA-256 differs.
        """
        if not self.path.is_file():
            raise ModelError(
                f"The weights file {self.path} is missing. Reinstall faces-jobs, or restore the "
                f"file beside its {RECORD_NAME}."
            )
        size = self.path.stat().st_size
        found = sha256_of(self.path) if size == self.bytes else None
        if found != self.sha256:
            actual = f"SHA-256 {found}" if found else f"{size} bytes"
            expected = f"SHA-256 {self.sha256}" if found else f"{self.bytes} bytes"
            raise ModelError(
                f"The weights file {self.path} has changed since it was recorded: it has {actual}, "
                f"but its {RECORD_NAME} says {expected}. Reinstall faces-jobs, or export the model "
                "again so that file and record match."
            )


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibration of one head; the defaults change nothing.

    The exported network already divides its logits by `temperature`, so its probabilities are
    calibrated; the value is kept here for reference. A prediction whose highest probability is
    below `unsure_below` is `unsure`, unless a setting or a job overrides the threshold. `folds` are
    the same two values fitted without the people of each fold (`training/evaluation/folds.py`);
    only the cross-fitted measurements use them.
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
    """The content of a model's `weights.toml`. `files` maps a format ("onnx") to its file."""

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
        """Compare every file of the model with this record.

        Raises:
            ModelError: a file is missing or has changed.
        """
        for file in self.files.values():
            file.verify()

    def check_model(self, name: str, heads: Mapping[str, tuple[str, ...]]) -> None:
        """Check that this record describes the classifier `name` with exactly these heads.

        Raises:
            ModelError: the name differs, the heads, their labels or their order differ, or
                a field that classifiers need is missing.
        """
        path = self.folder / RECORD_NAME
        if self.name != name:
            raise ModelError(f"{path} describes the model {self.name!r}, not {name!r}.")
        if list(self.heads.items()) != list(heads.items()):
            raise ModelError(
                f"The heads or labels in {path} do not match this version of faces-jobs: expected "
                f"{_format_heads(heads)}; found {_format_heads(self.heads)}. Train or export the "
                "model again."
            )
        missing = {"onnx", "safetensors"} - self.files.keys()
        if missing or self.input_size is None or self.crop_scale is None:
            raise ModelError(
                f"{path} must name the files onnx and safetensors, input.size and "
                "input.crop_scale. Export the model again."
            )


def read_record(folder: Path, *, files_folder: Path | None = None) -> ModelRecord:
    """Read the record in a model's folder, without reading its weights.

    Args:
        folder: contains `weights.toml`.
        files_folder: contains the weights files, if they are not in `folder`; files that the
            record marks as `beside` are in `folder` in any case.

    Raises:
        ModelError: there is no record, or a field is missing or has a wrong type.
    """
    path = folder / RECORD_NAME
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except FileNotFoundError as error:
        raise ModelError(
            f"There is no {RECORD_NAME} in {folder}. A model's folder contains {RECORD_NAME}, "
            "model.onnx and model.safetensors."
        ) from error
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} can't be read: {error}.") from error
    try:
        return _record(content, folder, files_folder or folder)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{path} is incomplete or invalid ({type(error).__name__}: {error}). "
            "Export the model again."
        ) from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _record(content: Mapping[str, Any], folder: Path, files_folder: Path) -> ModelRecord:
    input_ = content["input"]
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
        colour=str(input_["colour"]),
        scaling=str(input_["scaling"]),
        input_size=int(input_["size"]) if "size" in input_ else None,
        crop_scale=float(input_["crop_scale"]) if "crop_scale" in input_ else None,
        heads=MappingProxyType(heads),
        files=MappingProxyType(files),
        network=MappingProxyType(dict(content.get("network", {}))),
        figures=MappingProxyType(dict(content.get("figures", {}))),
        folder=folder,
        calibration=MappingProxyType(_calibrations(content.get("calibration", {}), heads)),
    )


def _calibrations(
    content: Mapping[str, Any], heads: Mapping[str, tuple[str, ...]]
) -> dict[str, Calibration]:
    unknown = content.keys() - heads.keys()
    if unknown:
        raise ValueError(f"calibration of {', '.join(sorted(unknown))}, which is not a head")
    return {head: _calibration(head, content.get(head, {})) for head in heads}


def _calibration(head: str, content: Mapping[str, Any]) -> Calibration:
    values = {
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
    return Calibration(**values, folds=tuple(folds))


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"calibration.{name} must be a number, not {value!r}")
    return float(value)


def _format_heads(heads: Mapping[str, tuple[str, ...]]) -> str:
    return "; ".join(f"{head}: {', '.join(labels)}" for head, labels in heads.items()) or "none"


def _file_name(value: object) -> str:
    # A third party's record must not point at files outside its own folder.
    name = str(value)
    if name != Path(name).name or name in {"", ".", ".."}:
        raise ValueError(f"file name {name!r} must not contain a path")
    return name
