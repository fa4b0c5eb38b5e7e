"""Finds links on pages."""

from __future__ import annotations

import re


def linked(page: str, pattern: str) -> list[str]:
    """The unescaped addresses of links that match the pattern."""
    return [found.replace("&amp;", "&") for found in re.findall(pattern, page)]
