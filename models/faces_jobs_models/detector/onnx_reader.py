"""Loads the YuNet ONNX file of any exporter into our network, walking the graph from its outputs.

Exporters fold batch norm into convolutions and name the folded initializers as they like, so only
the names of the outputs are relied on (`OUTPUT_NAMES`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from faces_jobs.errors import ModelError
from faces_jobs_models.detector.outputs import STRIDES
from faces_jobs_models.detector.yunet import Backbone, Head, SeparableUnit, YuNet, YuNetConfig

_STAGES = 5


@dataclass(frozen=True, slots=True)
class _Convolution:
    """One convolution: its weights, and the name of its input value."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    source: str


_Unit = tuple[_Convolution, _Convolution]  # pointwise, then depthwise


def read_onnx(path: Path) -> YuNet:
    """Load the network in an ONNX file; its variant follows from the shapes.

    Raises:
        ModelError: the file can't be read, or holds another network.
    """
    try:
        model = onnx.load(str(path))
        return _Graph(model).network()
    except ModelError:
        raise
    except _OtherNetworkError as error:
        raise ModelError(f"{path} holds another network than YuNet: {error}.") from error
    except Exception as error:  # protobuf's errors differ between its builds
        raise ModelError(f"{path} is not an ONNX file of YuNet: {error}.") from error


class _OtherNetworkError(Exception):
    """The graph is not the expected one; the message says where."""


class _Graph:
    """An ONNX graph, walked from its outputs back to its input."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._nodes: Mapping[str, onnx.NodeProto] = {
            output: node for node in model.graph.node for output in node.output
        }
        self._constants: dict[str, NDArray[np.float32]] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer
        }
        self._constants |= {
            node.output[0]: numpy_helper.to_array(attribute.t)
            for node in model.graph.node
            if node.op_type == "Constant"
            for attribute in node.attribute
            if attribute.name == "value"
        }
        self._inputs = {value.name for value in model.graph.input}
        self._check_order(model)

    def _check_order(self, model: onnx.ModelProto) -> None:
        # Walking a graph with a cycle would never end.
        known = {"", *self._inputs, *self._constants}
        for node in model.graph.node:
            if not known.issuperset(node.input):
                raise _OtherNetworkError(f"its node {node.name!r} comes before its inputs")
            known.update(node.output)

    def network(self) -> YuNet:
        heads = [self._head(stride) for stride in STRIDES]
        # Between a level's sum and its head are the lateral unit and, in variant n, a shared one.
        # They are listed from the head backwards.
        units_before_head = [self._units(units["cls"][0].source) for units in heads]
        shared_unit = len(units_before_head[0]) == 2
        laterals = []
        for level, units in enumerate(units_before_head[:2]):
            if len(units) != 1 + shared_unit:
                raise _OtherNetworkError(f"stride {STRIDES[level]} has {len(units)} units")
            laterals.append(units[-1])
        # The coarsest level has no sum: its units continue into the backbone's last stage.
        laterals.append(units_before_head[2][int(shared_unit)])
        stem, stem_unit, stages = self._backbone(laterals[2][0].source)
        widths = (stem.weight.shape[0], *(stage[1][0].weight.shape[0] for stage in stages))
        network = YuNet(YuNetConfig.from_options({"widths": widths, "shared_unit": shared_unit}))
        _fill_backbone(network.backbone, stem, stem_unit, stages)
        for module, unit in zip(network.laterals, laterals, strict=True):
            _fill_unit(cast("SeparableUnit", module), unit)
        for module, outputs, units in zip(network.heads, heads, units_before_head, strict=True):
            head = cast("Head", module)
            if shared_unit:
                _fill_unit(cast("SeparableUnit", head.shared), units[0])
            for kind, unit in outputs.items():
                _fill_unit(cast("SeparableUnit", getattr(head, kind)), unit)
        return network.eval()

    def _head(self, stride: int) -> Mapping[str, _Unit]:
        units = {}
        for kind in ("cls", "obj", "bbox", "kps"):
            name = f"{kind}_{stride}"
            if name not in self._nodes:
                raise _OtherNetworkError(f"it has no output {name}")
            units[kind] = self._unit(self._skip(name, {"Sigmoid", "Reshape", "Transpose"}))
        if len({unit[0].source for unit in units.values()}) != 1:
            raise _OtherNetworkError(f"the outputs of stride {stride} have different inputs")
        return units

    def _backbone(self, value: str) -> tuple[_Convolution, _Unit, list[tuple[_Unit, _Unit]]]:
        """Return the stem, its unit, and the two units of each stage before `value`."""
        units: list[_Unit] = []
        while len(units) < 2 * _STAGES + 1:
            units.append(self._unit(self._skip(value, {"Relu", "MaxPool"})))
            value = units[-1][0].source
        stem = self._convolution(self._skip(value, {"Relu"}))
        if stem.source not in self._inputs:
            raise _OtherNetworkError("its backbone has more stages")
        units.reverse()
        stages = [(units[index], units[index + 1]) for index in range(1, 2 * _STAGES + 1, 2)]
        return stem, units[0], stages

    def _units(self, value: str) -> list[_Unit]:
        """Return the units before `value`, last first, up to a sum of two levels or the stem."""
        units: list[_Unit] = []
        while True:
            value = self._skip(value, {"Relu", "MaxPool"})
            if not self._is_unit(value):
                return units
            units.append(self._unit(value))
            value = units[-1][0].source

    def _is_unit(self, value: str) -> bool:
        node = self._nodes.get(value)
        if node is None or node.op_type not in {"Conv", "BatchNormalization"}:
            return False  # a sum, or the network's input
        return self._convolution(value).source not in self._inputs  # the stem is not a unit

    def _unit(self, value: str) -> _Unit:
        depthwise = self._convolution(value)
        pointwise = self._convolution(depthwise.source)
        if depthwise.weight.shape[1:] != (1, 3, 3) or pointwise.weight.shape[2:] != (1, 1):
            raise _OtherNetworkError(
                f"at {value} it has convolutions of {pointwise.weight.shape} and "
                f"{depthwise.weight.shape}"
            )
        return pointwise, depthwise

    def _convolution(self, value: str) -> _Convolution:
        node = self._nodes.get(value)
        if node is not None and node.op_type == "BatchNormalization":
            return self._folded(node)
        if node is None or node.op_type != "Conv":
            kind = node.op_type if node is not None else "nothing"
            raise _OtherNetworkError(f"at {value} it has {kind}, not a convolution")
        weight = self._constant(node.input[1])
        bias = self._constant(node.input[2]) if len(node.input) > 2 else np.zeros(len(weight))
        return _Convolution(weight, bias.astype(np.float32), node.input[0])

    def _folded(self, norm: onnx.NodeProto) -> _Convolution:
        """Fold a batch norm into the convolution before it."""
        convolution = self._convolution(norm.input[0])
        scale, shift, mean, variance = (self._constant(name) for name in norm.input[1:5])
        eps = next(
            (attribute.f for attribute in norm.attribute if attribute.name == "epsilon"), 1e-5
        )
        factor = scale / np.sqrt(variance + eps)
        weight = (convolution.weight * factor[:, None, None, None]).astype(np.float32)
        bias = ((convolution.bias - mean) * factor + shift).astype(np.float32)
        return _Convolution(weight, bias, convolution.source)

    def _constant(self, name: str) -> NDArray[np.float32]:
        # Exporters store equal constants once, and refer to them by Identity nodes.
        name = self._skip(name, {"Identity"})
        if name not in self._constants:
            raise _OtherNetworkError(f"the weights {name} are not in the file")
        return self._constants[name]

    def _skip(self, value: str, op_types: set[str]) -> str:
        while value in self._nodes and self._nodes[value].op_type in op_types:
            value = self._nodes[value].input[0]
        return value


def _fill_backbone(
    backbone: Backbone, stem: _Convolution, stem_unit: _Unit, stages: list[tuple[_Unit, _Unit]]
) -> None:
    _fill(backbone.stem, stem)
    _set_identity(backbone.stem_bn)
    _fill_unit(backbone.stem_unit, stem_unit)
    for module, pair in zip(backbone.stages, stages, strict=True):
        for unit, weights in zip(cast("nn.Sequential", module), pair, strict=True):
            _fill_unit(cast("SeparableUnit", unit), weights)


def _fill_unit(unit: SeparableUnit, weights: _Unit) -> None:
    _fill(unit.conv1, weights[0])
    _fill(unit.conv2, weights[1])
    if isinstance(unit.bn, nn.BatchNorm2d):
        _set_identity(unit.bn)


@torch.no_grad()
def _fill(module: nn.Conv2d, weights: _Convolution) -> None:
    if tuple(module.weight.shape) != weights.weight.shape or module.bias is None:
        raise _OtherNetworkError(
            f"it has a convolution of {weights.weight.shape}, expected {tuple(module.weight.shape)}"
        )
    module.weight.copy_(torch.from_numpy(np.array(weights.weight)))
    module.bias.copy_(torch.from_numpy(np.array(weights.bias)))


@torch.no_grad()
def _set_identity(norm: nn.BatchNorm2d) -> None:
    # The convolutions already contain the batch norm.
    norm.weight.fill_(1.0)
    norm.bias.zero_()
    assert norm.running_mean is not None  # noqa: S101 - for the type checker
    assert norm.running_var is not None  # noqa: S101 - for the type checker
    norm.running_mean.zero_()
    norm.running_var.fill_(1.0 - norm.eps)  # so that sqrt(variance + eps) is 1
