"""Reads pictures with marked faces, to measure a detector on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from faces_jobs.errors import DataLayoutError
from faces_jobs.pipeline.values import Boxes

COLUMNS = ("image", "boxes_xywh", "invalid")
_ROWS_AT_ONCE = 64


@dataclass(frozen=True, slots=True, eq=False)
class MarkedPicture:
    """A picture with its faces; `ignored` ones need not be found, nor are they wrong."""

    image: bytes  # encoded
    faces_xyxy: Boxes  # (m, 4) pixels
    ignored: NDArray[np.bool_]  # (m,)


@dataclass(frozen=True, slots=True)
class MarkedSet:
    """One file of marked pictures. Its name is the file's, without the ending."""

    name: str
    path: Path
    n: int

    def __iter__(self) -> Iterator[MarkedPicture]:
        """Its pictures, in the order of the rows."""
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=list(COLUMNS)):
                for row in batch.to_pylist():
                    boxes = np.array(row["boxes_xywh"], np.float32).reshape(-1, 4)
                    boxes[:, 2:] += boxes[:, :2]
                    yield MarkedPicture(row["image"], boxes, np.array(row["invalid"], bool))


def open_marked(path: Path) -> list[MarkedSet]:
    """The files of marked pictures at `path`: a parquet file, or a folder that holds some.

    Raises:
        DataLayoutError: there is none.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    found = []
    for one in files:
        try:
            with pq.ParquetFile(one) as file:
                if set(COLUMNS) <= set(file.schema_arrow.names):
                    found.append(MarkedSet(one.stem, one, file.metadata.num_rows))
        except (pa.ArrowInvalid, OSError):
            continue  # not a parquet file: named below if nothing else is there
    if not found:
        raise DataLayoutError(
            f"{path} holds no pictures with marked faces: looked for parquet files with the "
            f"columns {', '.join(COLUMNS)}; found "
            f"{', '.join(one.name for one in files) or 'no parquet file'}."
        )
    return found
