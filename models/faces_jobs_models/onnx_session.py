"""One onnxruntime session: threads bounded, outputs as expected, arrays in, arrays out."""

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
        options.log_severity_level = 3  # it warns about constants that old exporters left unused
        content = source if isinstance(source, bytes) else source.read_bytes()
        try:
            self._session = ort.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors have no common class of their own
            raise ModelError(
                f"The network {name} can't be opened by onnxruntime; its file is broken or needs "
                "a newer onnxruntime. Reinstall faces-jobs or name another models folder."
            ) from error
        self._input = self._session.get_inputs()[0].name

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in the order in which `run` gives them."""
        return tuple(output.name for output in self._session.get_outputs())

    @property
    def picture_size(self) -> tuple[int | None, int | None]:
        """Height and width that the input must have; None where they are free."""
        shape = self._session.get_inputs()[0].shape
        height, width = (side if isinstance(side, int) else None for side in shape[2:4])
        return height, width

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """(n, ...) float32 to one array an output."""
        outputs: list[NDArray[np.float32]] = self._session.run(None, {self._input: batch})
        return outputs


def open_session(
    record: ModelRecord,
    format: str = "onnx",  # noqa: A002 (the record's word)
    *,
    outputs: Sequence[str] | int,
    threads: int = 1,
    transform: Callable[[Path], bytes] | None = None,
) -> OnnxSession:
    """The network in a record's file, seen to have the outputs that it should have.

    Args:
        record: was verified, or its files are.
        format: which of its files.
        outputs: names in their order; or how many there are, where names tell nothing.
        threads: that one run may use.
        transform: makes of the file what is opened in its place.

    Raises:
        ModelError: the file can't be opened, or is another network's.
    """
    path = record.files[format].path
    session = OnnxSession(transform(path) if transform else path, name=record.name, threads=threads)
    found = session.output_names
    if isinstance(outputs, int):
        is_other, expected = len(found) != outputs, f"{outputs} of them"
    else:
        is_other, expected = found != tuple(outputs), ", ".join(outputs)
    if is_other:
        raise ModelError(
            f"{path} is another network: its outputs are {', '.join(found)}; a {record.name} "
            f"model has {expected}. Export or fetch the model again."
        )
    return session
