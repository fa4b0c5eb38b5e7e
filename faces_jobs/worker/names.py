"""Names of an item's artifacts: unique within the job, and valid on every file system."""

from __future__ import annotations

import unicodedata

# With number, kind and extension added, well below the 255 bytes that file systems allow.
MAX_STEM_BYTES = 120
MAX_EXTENSION_LENGTH = 8  # what is longer is taken for a part of the name
DEFAULT_STEM = "file"
_SAFE_PUNCTUATION = frozenset("-_.() ")


def artifact_stem(position: int, item_name: str) -> str:
    """The common prefix of the names of an item's artifacts, such as `3-holiday`.

    The item's number makes it unique within the job: `a.mp4`, `a.mov` and `sub/a.mp4` become
    `0-a`, `1-a` and `2-a`.
    """
    base = unicodedata.normalize("NFC", item_name.rpartition("/")[2])
    stem, dot, extension = base.rpartition(".")
    if not dot or not stem.strip(". ") or len(extension) > MAX_EXTENSION_LENGTH:
        stem = base
    safe = "".join(char if _is_safe(char) else "_" for char in stem)
    truncated = safe.encode("utf-8")[:MAX_STEM_BYTES].decode("utf-8", "ignore")
    return f"{position}-{truncated.strip('. ') or DEFAULT_STEM}"


def _is_safe(char: str) -> bool:
    """Whether it is a letter, a digit, a combining mark, or one of the safe punctuation marks."""
    return char in _SAFE_PUNCTUATION or unicodedata.category(char)[0] in "LNM"
