"""What crops were cut from: which files they were, and which pictures and labels."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from faces_jobs.pipeline.stages import Detector
from faces_jobs_models.training.readers.data_set import DataSet
from faces_jobs_models.training.samples import Sample

# Raised where readers say other things of the same files, or cutting gives other crops.
_FORM = "1"


def origin_of(data_set: DataSet, detector: Detector) -> Mapping[str, str]:
    """What the crops of a data set depend on, without reading it.

    Files count by their names, sizes and times: their content would take as long as cutting.
    """
    files = hashlib.sha256()
    folder = data_set.path.parent
    for path in _files(data_set):
        stat = path.stat()
        files.update(
            f"{os.path.relpath(path, folder)}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode()
        )
    return {
        "folder": str(data_set.path.resolve()),
        "files": files.hexdigest(),
        "detector": detector.sha256,
        "program": _FORM,
    }


class SampleHash:
    """Of samples one after the other: their pictures, labels and sides, wherever they lie."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, sample: Sample) -> None:
        """The next one."""
        told = [(head, target.tolist()) for head, target in sorted(sample.targets.items())]
        said = f"{sample.held_out} {sample.group} {told} {sorted(sample.truth.items())}\n"
        self._hash.update(said.encode())
        self._hash.update(hashlib.sha256(sample.image).digest())

    def hexdigest(self) -> str:
        """Of all of them."""
        return self._hash.hexdigest()


def _files(data_set: DataSet) -> Iterator[Path]:
    path = data_set.path
    folder = path if path.is_dir() else path.parent
    yield from data_set.extra_files
    if path.is_dir():
        yield from _visible(path, (one.name for one in path.iterdir() if one.is_file()))
    else:
        yield path
    for name in sorted(data_set.own_folders):
        for inner, folders, files in os.walk(folder / name):
            folders.sort()
            yield from _visible(Path(inner), files)


def _visible(folder: Path, names: Iterator[str] | list[str]) -> Iterator[Path]:
    return (folder / name for name in sorted(names) if not name.startswith("."))
