"""Text in tables that people open in a spreadsheet, which must not take a name for a formula."""

from __future__ import annotations

# A spreadsheet takes a cell that begins so for a formula; an apostrophe before it makes it text.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def escape_formula(text: str) -> str:
    """The text, with an apostrophe before what a spreadsheet would work out."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
