"""Names that others gave, made fit to be shown: of files, and of owners."""

from __future__ import annotations

import re
import unicodedata

from faces_jobs.errors import OptionsError

MAX_NAME_CHARACTERS = 1024
MAX_OWNER_CHARACTERS = 128
UNNAMED = "unnamed"
_LINE_SEPARATORS = frozenset({"Zl", "Zp"})
# Persian words and families of emoji are written with joiners; elsewhere these can't be seen.
_JOINERS = frozenset("\u200c\u200d")
_LOOSE_JOINER = re.compile(
    r"(?<![^\s/\u200c\u200d])[\u200c\u200d]|[\u200c\u200d](?![^\s/\u200c\u200d])"
)


def normalise_name(name: str) -> str:
    """The name that a file is shown under: relative, printable, of bounded length.

    It never becomes a path on the server, so it is made harmless to look at and nothing more.
    """
    text = name.encode("utf-8", "replace").decode("utf-8").replace("\\", "/")
    text = _LOOSE_JOINER.sub("_", text)
    # "C" are control, format (right-to-left overrides among them), surrogate and private
    # characters, "Zl" and "Zp" line ends: they break tables and terminals, or dress a name up.
    shown = "".join(letter if letter in _JOINERS or _is_shown(letter) else "_" for letter in text)
    parts = [part for part in shown.split("/") if part.strip() not in ("", ".", "..")]
    joined = "/".join(parts) or UNNAMED
    return joined if len(joined) <= MAX_NAME_CHARACTERS else f"…{joined[1 - MAX_NAME_CHARACTERS :]}"


def _is_shown(letter: str) -> bool:
    category = unicodedata.category(letter)
    return category[0] != "C" and category not in _LINE_SEPARATORS


def checked_owner(owner: str) -> str:
    """The name under which a job takes turns with the jobs of others.

    Raises:
        OptionsError: too long, or not printable.
    """
    name = owner.strip()
    if len(name) > MAX_OWNER_CHARACTERS or not name.isprintable():
        raise OptionsError(
            {"owner": f"must be at most {MAX_OWNER_CHARACTERS} printable characters"}
        )
    return name
