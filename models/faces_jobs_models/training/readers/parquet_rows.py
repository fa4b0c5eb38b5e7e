"""Reads the columns and rows of parquet files, with errors that name a damaged file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from faces_jobs.errors import DataLayoutError
from faces_jobs_models.training.readers.data_set import Skipped

# Rows in memory at once. With pictures of half a megabyte a thousand would take a gigabyte more.
_BATCH_SIZE = 64


def read_header(path: Path, skipped: Skipped) -> tuple[frozenset[str], int] | None:
    """Return columns and number of rows of a parquet file; None, and count it, if unreadable."""
    try:
        with pq.ParquetFile(path) as file:
            return frozenset(file.schema_arrow.names), file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        skipped[f"{path.name} can't be read as parquet ({type(error).__name__})"] += 1
        return None


def iter_rows(path: Path, columns: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows, with those of `columns` that the file has.

    Args:
        path: a file whose header was readable; the rest of it may be damaged all the same.
        columns: names of the columns to read.

    Raises:
        DataLayoutError: the file is damaged.
    """
    try:
        with pq.ParquetFile(path) as file:
            existing = sorted(frozenset(columns) & frozenset(file.schema_arrow.names))
            for batch in file.iter_batches(_BATCH_SIZE, columns=existing):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataLayoutError(f"{path} is damaged: download it again ({error}).") from error


def encoded_picture(image: object) -> bytes | None:
    """Return the encoded picture in a row's column `image`; None if there is none."""
    if isinstance(image, dict):  # {bytes, path}, as Hugging Face's libraries write it
        image = image.get("bytes")
    return image if isinstance(image, bytes) and image else None
