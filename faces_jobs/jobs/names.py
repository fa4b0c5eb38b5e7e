"""Sanitises the names of files and owners, which are user input, for display."""

from __future__ import annotations

import re
import unicodedata

from faces_jobs.errors import OptionsError

MAX_NAME_CHARACTERS = 1024
MAX_OWNER_CHARACTERS = 128
UNNAMED = "unnamed"
_LINE_SEPARATORS = frozenset({"Zl", "Zp"})
# Zero-width joiners are needed in Persian words and emoji sequences; elsewhere they are invisible.
_JOINERS = frozenset("\u200c\u200d")
_LOOSE_JOINER = re.compile(
    r"(?<![^\s/\u200c\u200d])[\u200c\u200d]|[\u200c\u200d](?![^\s/\u200c\u200d])"
)


def normalise_name(name: str) -> str:
    """Return the name that a file is shown under: relative, printable, of bounded length.

    It is never used as a path on the server, so it only has to be safe to display.
    """
    text = name.encode("utf-8", "replace").decode("utf-8").replace("\\", "/")
    text = _LOOSE_JOINER.sub("_", text)
    # The category "C" has control, format (such as right-to-left override), surrogate and private
    # characters, "Zl" and "Zp" are line separators: they break tables and terminals, or disguise
    # a name.
    shown = "".join(char if char in _JOINERS or _is_printable(char) else "_" for char in text)
    parts = [part for part in shown.split("/") if part.strip() not in ("", ".", "..")]
    joined = "/".join(parts) or UNNAMED
    return joined if len(joined) <= MAX_NAME_CHARACTERS else f"…{joined[1 - MAX_NAME_CHARACTERS :]}"


def _is_printable(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] != "C" and category not in _LINE_SEPARATORS


def checked_owner(owner: str) -> str:
    """Validate the name of a job's owner, between whom workers are shared fairly.

    Raises:
        OptionsError: the name is too long or not printable.
    """
    name = owner.strip()
    if len(name) > MAX_OWNER_CHARACTERS or not name.isprintable():
        raise OptionsError(
            {"owner": f"must be at most {MAX_OWNER_CHARACTERS} printable characters"}
        )
    return name
