"""Names of an item's artifacts: told apart by the item's number, safe on every file system."""

from __future__ import annotations

import unicodedata

# With number, kind and extension around it, well below the 255 bytes that file systems allow.
MAX_STEM_BYTES = 120
NAMELESS = "file"
_KEPT_MARKS = frozenset("-_.() ")


def artifact_stem(position: int, item_name: str) -> str:
    """What the names of an item's artifacts begin with: `3-holiday`.

    The item's number makes it distinct within the job: `a.mp4`, `a.mov` and `sub/a.mp4` are
    `0-a`, `1-a` and `2-a`.
    """
    base = unicodedata.normalize("NFC", item_name.rpartition("/")[2])
    stem, dot, extension = base.rpartition(".")
    if not dot or not stem.strip(". ") or len(extension) > 8:
        stem = base
    safe = "".join(letter if letter in _KEPT_MARKS or _is_word(letter) else "_" for letter in stem)
    cut = safe.encode("utf-8")[:MAX_STEM_BYTES].decode("utf-8", "ignore")
    return f"{position}-{cut.strip('. ') or NAMELESS}"


def _is_word(letter: str) -> bool:
    """Letters, digits and the marks that letters of many scripts are written with."""
    return unicodedata.category(letter)[0] in "LNM"
