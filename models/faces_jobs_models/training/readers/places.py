"""Listings of folders for the readers, and access to the pictures in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from faces_jobs_models.training.readers.data_set import Skipped

_PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with the sorted names in it, or a file (with no names).

    Left out are hidden files, including those that macOS puts into archives (`._name`), and links
    to a folder that this one is in, since they would have no end.
    """

    path: Path
    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path) -> Self:
        """List `path`."""
        if not path.is_dir():
            return cls(path)
        entries = sorted(
            (entry for entry in path.iterdir() if not entry.name.startswith(".")),
            key=lambda entry: entry.name,
        )
        folders = frozenset(entry.name for entry in entries if entry.is_dir())
        return cls(
            path,
            tuple(one.name for one in entries if one.name in folders and not _leads_up(one)),
            tuple(one.name for one in entries if one.name not in folders),
        )

    def child(self, name: str) -> Place:
        """List the folder or file `name` in this folder."""
        return Place.of(self.path / name)

    def pictures(self) -> list[str]:
        """Return the names of the pictures directly in this folder."""
        return [name for name in self.files if is_picture(name)]


def _leads_up(folder: Path) -> bool:
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def is_picture(name: str) -> bool:
    """Whether a file name has the suffix of a picture."""
    return Path(name).suffix.lower() in _PICTURE_SUFFIXES


def pictures_below(folder: Path) -> Iterator[str]:
    """Yield the pictures in `folder` and below, relative to it with `/`, in order."""
    place = Place.of(folder)
    yield from place.pictures()
    for name in place.folders:
        for child in pictures_below(folder / name):
            yield f"{name}/{child}"


def read_picture(root: Path, name: str, source: str, skipped: Skipped) -> bytes | None:
    """Read a picture; return None, and count it, if it is missing or can't be read.

    Names that lead out of `root` are not followed.
    """
    path = root / name
    is_inside = not Path(name).is_absolute() and ".." not in Path(name).parts
    try:
        if is_inside and path.is_file():
            return path.read_bytes()
    except OSError:  # no permission, too long a name, a damaged disk
        skipped[f"{source} unreadable picture"] += 1
        return None
    skipped[f"{source} missing picture"] += 1
    return None
