"""Static quantization of ONNX networks to eight bits, which more than halves their time on CPUs.

Weights are quantized per channel, activations by their ranges on calibration pictures (Jacob et
al.: "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", arXiv:1712.05877). Weights use seven bits, so that the sum of two products fits into
16 bits, at which processors without VNNI saturate.
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

from faces_jobs_models.training.data.augment import centre_crop
from faces_jobs_models.training.data.prepare import PreparedDataSet

_OPSET = 13  # the first with quantization per channel
_WEIGHTED_OPS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# All other operations stay in floats, such as the normalisation of the input.
_QUANTIZED_OPS = ("Relu", "Clip", "Add", "MaxPool", "AveragePool", "GlobalAveragePool")
_CALIBRATION_CROPS = 512
_BATCH_SIZE = 32
_SEED = 20260101

Batch = NDArray[np.float32]


def quantize(network: bytes, batches: Iterable[Batch]) -> bytes:
    """Quantize an ONNX network with one input, and return the new file's content.

    Args:
        network: the file's content.
        batches: representative inputs for calibration; some dozens of pictures.
    """
    # It warns of unused constants, which old exporters left in the file.
    onnxruntime.set_default_logger_severity(3)
    model = onnx.load_from_string(network)
    if model.opset_import[0].version < _OPSET:
        model = version_converter.convert_version(model, _OPSET)
    with tempfile.TemporaryDirectory() as name:
        original, simplified, result = (
            Path(name) / f"{kind}.onnx" for kind in ("in", "pre", "out")
        )
        onnx.save(model, str(original))
        quant_pre_process(str(original), str(simplified), skip_symbolic_shape=True)
        model = onnx.load(str(simplified))
        for number, node in enumerate(model.graph.node):
            node.name = node.name or f"{node.op_type} {number}"  # for `nodes_to_exclude`
        onnx.save(model, str(simplified))
        quantize_static(
            str(simplified),
            str(result),
            _CalibrationBatches(model.graph.input[0].name, batches),
            op_types_to_quantize=[*_QUANTIZED_OPS, *_WEIGHTED_OPS],
            nodes_to_exclude=_output_nodes(model.graph),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
        return result.read_bytes()


def calibration_batches(data_sets: Sequence[PreparedDataSet], *, crop_size: int) -> Iterator[Batch]:
    """Yield some hundred training crops as a classifier takes them, always the same ones.

    Each batch is (n, 3, crop_size, crop_size) float32 0..255.
    """
    for data in data_sets:
        rng = np.random.default_rng(_SEED)
        trained_on = np.nonzero(~data.held_out)[0]
        count = min(len(trained_on), _CALIBRATION_CROPS // len(data_sets))
        rows = np.sort(rng.choice(trained_on, count, replace=False))
        crops = centre_crop(torch.from_numpy(np.asarray(data.crops[rows])), size=crop_size).numpy()
        in_colour = np.broadcast_to(crops, (count, 3, crop_size, crop_size))
        for start in range(0, count, _BATCH_SIZE):
            yield np.ascontiguousarray(in_colour[start : start + _BATCH_SIZE])


def _output_nodes(graph: onnx.GraphProto) -> list[str]:
    """Return the names of the last weighted node before each output, and of all nodes after it.

    They are not quantized: a score, or the logarithm of a size, would have only 256 values.
    """
    producers = {output: node for node in graph.node for output in node.output}
    names: dict[str, None] = {}
    pending = [output.name for output in graph.output]
    while pending:
        node = producers.get(pending.pop())
        if node is None or node.name in names:
            continue
        names[node.name] = None
        if node.op_type not in _WEIGHTED_OPS:
            pending += node.input
    return list(names)


class _CalibrationBatches(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types for it
    """Calibration batches in the interface of onnxruntime."""

    def __init__(self, name: str, batches: Iterable[Batch]) -> None:
        self._name = name
        self._batches = iter(batches)

    def get_next(self) -> dict[str, Batch] | None:
        """Return the next batch as input name -> batch, or None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}
