"""One onnxruntime session: threads bounded, arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from faces_jobs.errors import ModelError


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
