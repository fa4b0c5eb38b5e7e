"""Exports a grid detector to a model's folder: safetensors, ONNX, and the record of both."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save

from faces_jobs_models.detector.outputs import OUTPUT_NAMES, SIZE_MULTIPLE
from faces_jobs_models.detector.yunet import YuNet
from faces_jobs_models.weights import RECORD_NAME, sha256_of

_OPSET = 17
_INPUT = "pictures"


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorMetadata:
    """Metadata for the record. `figures` maps a data set to its figures."""

    name: str
    version: str
    architecture: str
    source: str
    licence: str
    terms: str
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def write_detector(network: YuNet, metadata: DetectorMetadata, out: Path) -> Path:
    """Write `model.safetensors`, `model.onnx` and `weights.toml` into the folder `out`.

    The record is written last, since a folder without one is not a model.
    """
    out.mkdir(parents=True, exist_ok=True)
    network = network.eval()
    # In the default memory format: training uses channels_last.
    state = {
        name: tensor.detach().clone().contiguous(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }
    # Not `save_file`, which makes the file readable by its owner only.
    (out / "model.safetensors").write_bytes(save(state, metadata={"model": metadata.name}))
    write_onnx(network, out / "model.onnx")
    (out / RECORD_NAME).write_text(_record(network, metadata, out))
    return out


def write_onnx(network: YuNet, path: Path) -> None:
    """Export with dynamic batch size, height and width; outputs as `OUTPUT_NAMES`."""
    example = torch.zeros(2, 3, 2 * SIZE_MULTIPLE, 3 * SIZE_MULTIPLE)
    dynamic = {name: {0: "batch", 1: f"cells_{name.rpartition('_')[2]}"} for name in OUTPUT_NAMES}
    dynamic[_INPUT] = {0: "batch", 2: "height", 3: "width"}
    with warnings.catch_warnings():
        # The exporter with dynamo=False is deprecated, but onnxruntime folds only its graphs
        # completely (batch norm into convolution).
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network.to(memory_format=torch.contiguous_format),  # type: ignore[call-overload]
            (example,),
            str(path),
            input_names=[_INPUT],
            output_names=list(OUTPUT_NAMES),
            dynamic_axes=dynamic,
            opset_version=_OPSET,
            dynamo=False,
        )


def _record(network: YuNet, metadata: DetectorMetadata, folder: Path) -> str:
    lines = [
        f"name = {json.dumps(metadata.name)}",
        f"version = {json.dumps(metadata.version)}",
        f"architecture = {json.dumps(metadata.architecture)}",
        f"source = {json.dumps(metadata.source)}",
        f"licence = {json.dumps(metadata.licence)}",
        f"terms = {json.dumps(metadata.terms)}",
        "",
        "[input]",
        'colour = "BGR"',
        'scaling = "0..255, no mean taken off"',
        "",
        "[network]",
        f"widths = {json.dumps(network.config.widths)}",
        f"shared_unit = {json.dumps(network.config.shared_unit)}",
        f"score_power = {json.dumps(round(network.config.score_power, 4))}",
    ]
    for kind, name in (("onnx", "model.onnx"), ("safetensors", "model.safetensors")):
        path = folder / name
        lines += [
            "",
            f"[files.{kind}]",
            f"path = {json.dumps(name)}",
            f"sha256 = {json.dumps(sha256_of(path))}",
            f"bytes = {path.stat().st_size}",
        ]
    for data_set, figures in metadata.figures.items():
        lines += ["", f"[figures.faces.{data_set}]"]
        lines += [f"{name} = {json.dumps(value)}" for name, value in figures.items()]
    return "\n".join(lines) + "\n"
