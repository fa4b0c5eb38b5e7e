"""An onnxruntime session on the CPU, with bounded threads and validated outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from faces_jobs.errors import ModelError
from faces_jobs_models.weights import ModelRecord


class OnnxSession:
    """A network run by onnxruntime on the CPU."""

    def __init__(self, source: Path | bytes, *, name: str, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors: old exporters' unused constants cause warnings
        content = source if isinstance(source, bytes) else source.read_bytes()
        try:
            self._session = ort.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors have no common base class
            raise ModelError(
                f"The network {name} can't be opened by onnxruntime: its file is corrupt or needs "
                "a newer onnxruntime. Reinstall faces-jobs or choose another models folder."
            ) from error
        self._input = self._session.get_inputs()[0].name

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in the order in which `run` returns them."""
        return tuple(output.name for output in self._session.get_outputs())

    @property
    def picture_size(self) -> tuple[int | None, int | None]:
        """Height and width that the input must have; None where they are dynamic."""
        shape = self._session.get_inputs()[0].shape
        height, width = (side if isinstance(side, int) else None for side in shape[2:4])
        return height, width

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """(n, ...) float32 -> one array per output."""
        outputs: list[NDArray[np.float32]] = self._session.run(None, {self._input: batch})
        return outputs


def open_session(
    record: ModelRecord,
    format: str = "onnx",  # noqa: A002 - as in the record
    *,
    outputs: Sequence[str] | int,
    threads: int = 1,
    transform: Callable[[Path], bytes] | None = None,
) -> OnnxSession:
    """Open the network in one file of a record, and check its outputs.

    Args:
        record: a verified record.
        format: which of its files.
        outputs: the expected names in order, or their number if the names are arbitrary.
        threads: how many threads one run may use.
        transform: returns the model to open in place of the file.

    Raises:
        ModelError: the file can't be opened, or holds another network.
    """
    path = record.files[format].path
    session = OnnxSession(transform(path) if transform else path, name=record.name, threads=threads)
    found = session.output_names
    if isinstance(outputs, int):
        matches, expected = len(found) == outputs, f"{outputs} outputs"
    else:
        matches, expected = found == tuple(outputs), ", ".join(outputs)
    if not matches:
        raise ModelError(
            f"{path} is another network: its outputs are {', '.join(found)}; a {record.name} "
            f"model has {expected}. Export or fetch the model again."
        )
    return session
