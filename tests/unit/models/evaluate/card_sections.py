"""Reads from a card what the commands write into it."""

from __future__ import annotations

from pathlib import Path


def section_of_card(card: Path, start: str, end: str) -> str:
    """Return the text between two marks of a card."""
    _, text = card.read_text(encoding="utf-8").split(start)
    section, _ = text.split(end)
    return section
