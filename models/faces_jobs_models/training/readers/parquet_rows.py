"""Reads a parquet file, and tells where it is damaged."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from faces_jobs.errors import DataLayoutError
from faces_jobs_models.training.readers.data_set import Skipped


def read_header(path: Path, skipped: Skipped) -> tuple[frozenset[str], int] | None:
    """The columns of a parquet file and its number of rows; None, and counted, where it is none."""
    try:
        with pq.ParquetFile(path) as file:
            return frozenset(file.schema_arrow.names), file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        skipped[f"{path.name} can't be read as parquet ({type(error).__name__})"] += 1
        return None


def iter_rows(path: Path, columns: Collection[str], *, at_once: int) -> Iterator[dict[str, Any]]:
    """One row after the other, those of `columns` that the file has.

    Args:
        path: a file whose head could be read: the rest of it may be damaged all the same.
        columns: names; others are not read.
        at_once: rows that are held in memory.

    Raises:
        DataLayoutError: it is damaged.
    """
    try:
        with pq.ParquetFile(path) as file:
            there = sorted(frozenset(columns) & frozenset(file.schema_arrow.names))
            for batch in file.iter_batches(at_once, columns=there):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataLayoutError(f"{path} is damaged: download it again ({error}).") from error
