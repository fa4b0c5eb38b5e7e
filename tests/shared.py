"""Files that all processes of one test run use: made by the first that asks for them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def create_once(folders: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The file of this name; `make` writes it where no process of this run has done so yet."""
    folder = folders.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # noqa: TID251 (the test runner's own word)
        folder = folder.parent
    path = folder / "shared" / name
    with FileLock(f"{folder / name}.lock"):
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            part = path.with_name(f"part-{name}")  # keeps the suffix, which says what it is
            make(part)
            part.rename(path)
    return path
