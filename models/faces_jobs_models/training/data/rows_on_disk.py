"""Writes an array to a .npy file row by row, for an unknown number of rows."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray


class NpyWriter:
    """Context manager that writes uint8 rows of one shape; the file is complete after its exit.

    The header is padded for any number of rows, so that it can be overwritten at the end.
    """

    def __init__(self, path: Path, row_shape: tuple[int, ...]) -> None:
        self._file = path.open("wb")
        self._row_shape = row_shape
        self._count = 0
        self._write_header()

    def __enter__(self) -> Self:
        return self

    def append(self, row: NDArray[np.uint8]) -> None:
        """Append a row."""
        if row.shape != self._row_shape:
            raise ValueError(f"a row of shape {row.shape} where rows have {self._row_shape}")
        self._file.write(row.tobytes())
        self._count += 1

    def __exit__(self, *exception: object) -> None:
        with self._file:
            self._file.seek(0)
            self._write_header()

    def _write_header(self) -> None:
        npy.write_array_header_1_0(
            self._file,
            {
                "shape": (self._count, *self._row_shape),
                "fortran_order": False,
                "descr": npy.dtype_to_descr(np.dtype(np.uint8)),
            },
        )
