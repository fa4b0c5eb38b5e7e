"""Escapes text for CSV files, so that spreadsheets don't evaluate it as a formula."""

from __future__ import annotations

# Spreadsheets evaluate cells that begin with one of these; a leading apostrophe makes them text.
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def escape_formula(text: str) -> str:
    """Return the text, prefixed with an apostrophe if a spreadsheet would evaluate it."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
