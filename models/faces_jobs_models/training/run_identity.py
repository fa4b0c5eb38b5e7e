"""Identity of a training run, so that a checkpoint is never resumed with another recipe or data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Hashes of all that a run depends on."""

    recipe: str
    data: str


def hash_of_recipe(recipe: Any, *, ignore: Iterable[str] = ()) -> str:
    """Return a hash that is equal for recipes (dataclasses) with equal fields.

    Args:
        recipe: of the run.
        ignore: names of fields that don't count.
    """
    plain = _plain(recipe)
    for name in ignore:
        plain.pop(name)
    return hash_of([repr(plain)])


def hash_of(texts: Iterable[str]) -> str:
    """Return a hash of texts, which depends on their order."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
