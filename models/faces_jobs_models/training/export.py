"""Exports a trained network as a model folder: safetensors, ONNX, and their record."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save

from faces_jobs.jobs.labels import MODELS
from faces_jobs_models.attribute_network import AttributeNetwork
from faces_jobs_models.training.evaluation.figures import rounded
from faces_jobs_models.training.evaluation.held_out import HeldOutFigures
from faces_jobs_models.training.quantize import Batch, quantize
from faces_jobs_models.training.recipes import Recipe
from faces_jobs_models.training.train import TrainingResult
from faces_jobs_models.weights import RECORD_NAME, Calibration, sha256_of

TERMS = (
    "The weights are MIT like the program. They were trained on research data: whoever uses them "
    "commercially has to judge whether the terms of that data (CARD.md) allow it."
)
_OPSET = 17


def export_model(
    recipe: Recipe, trained: TrainingResult, *, examples: Iterable[Batch], out: Path
) -> Path:
    """Write `model.safetensors`, `model.onnx`, `figures.json` and `weights.toml` into `out`.

    The folder can be placed into a models folder, or replace the shipped one.

    Args:
        recipe: the one that the network was trained by.
        trained: the result.
        examples: batches of crops as the network takes them, by which `model.onnx` is quantized to
            eight bits.
        out: the folder; created if missing.
    """
    out.mkdir(parents=True, exist_ok=True)
    network = trained.network.eval()
    # In standard memory order: training uses channels_last.
    state = {
        name: tensor.detach().clone().contiguous(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }
    # Not by `save_file`, whose files can only be read by their owner.
    content = save(state, metadata={"model": recipe.model})
    (out / "model.safetensors").write_bytes(content)
    write_onnx(network, out / "model.onnx", crop_size=recipe.crop_size)
    in_eight_bits = quantize((out / "model.onnx").read_bytes(), examples)
    (out / "model.onnx").write_bytes(in_eight_bits)
    figures = [_figures_entry(recipe.model, one) for one in trained.figures]
    (out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    (out / RECORD_NAME).write_text(_record(recipe, out, trained))
    return out


def write_onnx(network: AttributeNetwork, path: Path, *, crop_size: int) -> None:
    """Export with a dynamic batch size, and one output of probabilities per head, by its name."""
    example = torch.zeros(2, 3, crop_size, crop_size)
    with warnings.catch_warnings():
        # The TorchScript exporter is deprecated, but only its graphs are folded completely by
        # onnxruntime (batch norm into convolution).
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network.to(memory_format=torch.contiguous_format),  # type: ignore[call-overload]
            (example,),
            str(path),
            input_names=["crops"],
            output_names=list(network.heads),
            dynamic_axes={name: {0: "batch"} for name in ("crops", *network.heads)},
            opset_version=_OPSET,
            dynamo=False,
        )


def _figures_entry(model: str, one: HeldOutFigures) -> Mapping[str, object]:
    figures = one.figures
    return {
        "model": model,
        "head": one.head,
        "dataset": one.data_set,
        "n": figures.n,
        "accuracy": rounded(figures.accuracy),
        "balanced_accuracy": rounded(figures.balanced_accuracy),
        "baseline": rounded(figures.baseline),
        "per_class": {label: rounded(recall) for label, recall in figures.recall.items()},
        "per_class_n": {label: count for label, count in figures.count.items() if count},
    }


def _record(recipe: Recipe, folder: Path, trained: TrainingResult) -> str:
    lines = [
        f"name = {json.dumps(recipe.model)}",
        f"version = {json.dumps(recipe.version)}",
        'architecture = "residual network (arXiv:1512.03385)"',
        'source = "trained by faces_jobs; recipe in faces_jobs_models/training/recipes.py"',
        'licence = "MIT"',
        f"terms = {json.dumps(TERMS)}",
        "",
        "[input]",
        f"size = {recipe.crop_size}",
        f"crop_scale = {recipe.crop_scale}",
        'colour = "BGR"',
        'scaling = "0..255; the network normalises by itself"',
        "",
        "[network]",
        *(f"{name} = {_toml(value)}" for name, value in recipe.network.items()),
        "",
        "[heads]",
        *(f"{head} = {_toml(labels)}" for head, labels in MODELS[recipe.model].items()),
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
    for head, fitted in trained.calibration.items():
        lines += [
            "",
            f"[calibration.{head}]",
            f"temperature = {fitted.temperature}",
            f"unsure_below = {fitted.unsure_below}",
            *_folds(fitted),
        ]
    for one in trained.figures:
        lines += [
            "",
            f"[figures.{one.head}.{one.data_set}]",
            f"n = {one.figures.n}",
            f"accuracy = {one.figures.accuracy:.4f}",
            f"balanced_accuracy = {one.figures.balanced_accuracy:.4f}",
            f"baseline = {one.figures.baseline:.4f}",
        ]
    return "\n".join(lines) + "\n"


def _folds(fitted: Calibration) -> list[str]:
    pairs = [f"[{one.temperature}, {one.unsure_below}]" for one in fitted.folds]
    if not pairs:
        return []
    rows = [", ".join(pairs[start : start + 4]) for start in range(0, len(pairs), 4)]
    return [
        "# Temperature and threshold without the people of each fold, by which those are measured.",
        "folds = [",
        *(f"    {row}," for row in rows),
        "]",
    ]


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value)
