"""Fingerprints of a data set: of its files, and of its pictures and labels."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from faces_jobs.pipeline.protocols import Detector
from faces_jobs_models.training.readers.data_set import DataSet
from faces_jobs_models.training.readers.places import Place
from faces_jobs_models.training.readers.samples import Sample

# To be raised when readers yield other samples from the same files, or cropping gives other crops.
_VERSION = "2"


def origin_of(data_set: DataSet, detector: Detector) -> Mapping[str, str]:
    """Return what the crops of a data set depend on, without reading its pictures.

    Files are identified by name, size and modification time, since hashing their content would take
    as long as cropping.
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
        "program": _VERSION,
    }


class SampleHash:
    """Hash of a sequence of samples: their pictures, labels and split, but not their location."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, sample: Sample) -> None:
        """Add the next sample."""
        targets = [(head, target.tolist()) for head, target in sorted(sample.targets.items())]
        labels = f"{sample.held_out} {sample.group} {targets} {sorted(sample.truth.items())}\n"
        self._hash.update(labels.encode())
        self._hash.update(hashlib.sha256(sample.image).digest())

    def hexdigest(self) -> str:
        """Return the hash of all samples so far."""
        return self._hash.hexdigest()


def _files(data_set: DataSet) -> Iterator[Path]:
    path = data_set.path
    folder = path if path.is_dir() else path.parent
    yield from data_set.extra_files
    yield from _files_in(Place.of(path)) if path.is_dir() else [path]
    for name in sorted(data_set.own_folders):
        yield from _files_below(Place.of(folder / name))


def _files_in(place: Place) -> Iterator[Path]:
    # Links to files that don't exist are counted when samples are read.
    return (place.path / name for name in place.files if (place.path / name).is_file())


def _files_below(place: Place) -> Iterator[Path]:
    yield from _files_in(place)
    for name in place.folders:
        yield from _files_below(place.child(name))
