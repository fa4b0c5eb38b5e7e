"""Files that all processes of a test run share; the first one that needs a file creates it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def create_once(folders: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return the path of a shared file; `make` writes it unless another process already has."""
    folder = folders.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # noqa: TID251 (set by pytest-xdist)
        folder = folder.parent
    path = folder / "shared" / name
    with FileLock(f"{folder / name}.lock"):
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            part = path.with_name(f"part-{name}")  # the suffix stays: it determines the format
            make(part)
            part.rename(path)
    return path
