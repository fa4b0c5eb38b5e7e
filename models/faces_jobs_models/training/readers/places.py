"""Folders as readers look at them: what lies there, and the pictures in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from faces_jobs_models.training.readers.data_set import Skipped

_PICTURE_ENDINGS = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with the sorted names in it, or a file (which holds nothing).

    Hidden names are left out, what macOS puts into archives (`._name`) among them.
    """

    path: Path
    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path) -> Self:
        """Look at `path`."""
        if not path.is_dir():
            return cls(path)
        entries = sorted(
            (entry for entry in path.iterdir() if not entry.name.startswith(".")),
            key=lambda entry: entry.name,
        )
        folders = tuple(entry.name for entry in entries if entry.is_dir())
        inside = frozenset(folders)
        return cls(path, folders, tuple(one.name for one in entries if one.name not in inside))

    def child(self, name: str) -> Place:
        """The folder or file `name` in it."""
        return Place.of(self.path / name)

    def pictures(self) -> list[str]:
        """Names of the pictures that lie directly in it."""
        return [name for name in self.files if is_picture(name)]


def is_picture(name: str) -> bool:
    """Whether a file's name ends like a picture's."""
    return Path(name).suffix.lower() in _PICTURE_ENDINGS


def pictures_below(folder: Path) -> Iterator[str]:
    """Pictures in `folder` and its folders, relative to it with `/`, in order."""
    place = Place.of(folder)
    yield from place.pictures()
    for name in place.folders:
        for child in pictures_below(folder / name):
            yield f"{name}/{child}"


def read_picture(root: Path, name: str, source: str, skipped: Skipped) -> bytes | None:
    """The bytes of a picture that a list of labels names, or None where it is not there.

    Names that lead out of `root` are not followed.
    """
    path = root / name
    if Path(name).is_absolute() or ".." in Path(name).parts or not path.is_file():
        skipped[f"{source} picture is not there"] += 1
        return None
    return path.read_bytes()
