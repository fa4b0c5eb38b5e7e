"""Networks in eight bits for the CPU, which does them in less than half of the time.

Weights are rounded a channel at a time; activations by ranges that they had on pictures (Jacob et
al.: "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", arXiv:1712.05877). Weights keep to seven bits: then the sum of two products fits into
sixteen, and processors that can't add more at once cut nothing off.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import version_converter
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from faces_jobs_models.training.augment import centre_crop
from faces_jobs_models.training.prepare import PreparedDataSet

_OPSET = 13  # the first that rounds a channel at a time
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# What is not among these, such as what evens out brightness at the beginning, stays in floats.
_ROUNDED = ("Relu", "Clip", "Add", "MaxPool", "AveragePool", "GlobalAveragePool")
_EXAMPLES = 512
_BATCH = 32
_SEED = 20260101

Batch = NDArray[np.float32]


def quantize(network: bytes, batches: Iterable[Batch]) -> bytes:
    """An ONNX network of one input, in eight bits.

    Args:
        network: the file's content.
        batches: what it is asked about at run time, as it takes it; some dozens of pictures.
    """
    # It warns about constants that old exporters left unused.
    onnxruntime.set_default_logger_severity(3)
    model = onnx.load_from_string(network)
    if model.opset_import[0].version < _OPSET:
        model = version_converter.convert_version(model, _OPSET)
    with tempfile.TemporaryDirectory() as name:
        whole, simpler, rounded = (Path(name) / f"{kind}.onnx" for kind in ("in", "pre", "out"))
        onnx.save(model, str(whole))
        quant_pre_process(str(whole), str(simpler), skip_symbolic_shape=True)
        model = onnx.load(str(simpler))
        for number, node in enumerate(model.graph.node):
            node.name = node.name or f"{node.op_type} {number}"  # by which it can be left out
        onnx.save(model, str(simpler))
        quantize_static(
            str(simpler),
            str(rounded),
            _Batches(model.graph.input[0].name, batches),
            op_types_to_quantize=[*_ROUNDED, *_WEIGHTED],
            nodes_to_exclude=_last_ones(model.graph),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
        return rounded.read_bytes()


def calibration_batches(data_sets: Sequence[PreparedDataSet], *, crop_size: int) -> Iterator[Batch]:
    """Some hundred crops that were trained on, as a classifier takes them; always the same ones.

    Each batch is (n, 3, crop_size, crop_size) float32 0..255.
    """
    for data in data_sets:
        rng = np.random.default_rng(_SEED)
        trained_on = np.nonzero(~data.held_out)[0]
        count = min(len(trained_on), _EXAMPLES // len(data_sets))
        rows = np.sort(rng.choice(trained_on, count, replace=False))
        crops = centre_crop(torch.from_numpy(np.asarray(data.crops[rows])), size=crop_size).numpy()
        shown = np.broadcast_to(crops, (count, 3, crop_size, crop_size))
        for start in range(0, count, _BATCH):
            yield np.ascontiguousarray(shown[start : start + _BATCH])


def _last_ones(graph: onnx.GraphProto) -> list[str]:
    """Names of the last weighted nodes before each output, and of what comes behind them.

    Rounded, a score or a logarithm of a size would be one of 256.
    """
    makers = {output: node for node in graph.node for output in node.output}
    found: dict[str, None] = {}
    open_ends = [output.name for output in graph.output]
    while open_ends:
        node = makers.get(open_ends.pop())
        if node is None or node.name in found:
            continue
        found[node.name] = None
        if node.op_type not in _WEIGHTED:
            open_ends += node.input
    return list(found)


class _Batches(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types for it
    """The batches as onnxruntime asks for them."""

    def __init__(self, name: str, batches: Iterable[Batch]) -> None:
        self._name = name
        self._batches = iter(batches)

    def get_next(self) -> dict[str, Batch] | None:
        """The next batch by the input's name; None: that was all."""
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}
