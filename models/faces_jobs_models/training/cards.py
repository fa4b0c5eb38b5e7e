"""Writes the figures of a model into its card, and leaves its prose alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from faces_jobs.errors import ModelError

CARD_NAME = "CARD.md"
FIGURES_NAME = "figures.json"
START, END = "<!-- figures -->", "<!-- /figures -->"


def write_card(
    folder: Path, entries: Sequence[Any], tables: Callable[[Sequence[Any]], str]
) -> Path:
    """Put the entries into `figures.json`, and the tables of all that it holds into `CARD.md`.

    What the same weights were measured to before stays, until they are measured again.

    Args:
        folder: the model's.
        entries: as `faces-jobs evaluate --json` gives them.
        tables: entries to Markdown.

    Returns:
        The card.

    Raises:
        ModelError: there is no card, it lacks the two marks, or `figures.json` can't be read.
    """
    card = folder / CARD_NAME
    _around(card, START, END)  # before anything is written
    now = {entry["weights"]["variant"]: entry["weights"]["sha256"] for entry in entries}
    kept = {
        _key(entry): entry
        for entry in read_figures(folder)
        if now.get(entry["weights"]["variant"], entry["weights"]["sha256"])
        == entry["weights"]["sha256"]
    }
    merged = list({**kept, **{_key(entry): entry for entry in entries}}.values())
    (folder / FIGURES_NAME).write_text(json.dumps(merged, indent=1) + "\n", encoding="utf-8")
    return replace_section(card, START, END, tables(merged))


def replace_section(card: Path, start: str, end: str, text: str) -> Path:
    """Put `text`, which ends with a line break, between two marks of a card.

    Raises:
        ModelError: there is no card, or it lacks the marks.
    """
    before, after = _around(card, start, end)
    card.write_text(f"{before}{start}\n\n{text}\n{end}{after}", encoding="utf-8")
    return card


def read_figures(folder: Path) -> list[Any]:
    """The measured entries in a model's `figures.json`; none where it has no such file.

    What a training wrote there of itself says nothing of which weights answered, and is left out.

    Raises:
        ModelError: the file is no list of entries.
    """
    path = folder / FIGURES_NAME
    if not path.is_file():
        return []
    try:
        return [entry for entry in json.loads(path.read_text(encoding="utf-8")) if _key(entry)]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} holds no figures ({error}): delete it and measure again."
        ) from error


def section_of_card(card: Path, start: str, end: str) -> str:
    """What stands between two marks of a card.

    Raises:
        ModelError: there is no card, or it lacks them.
    """
    before, after = _around(card, start, end)
    text = card.read_text(encoding="utf-8")
    return text[len(before) + len(start) : len(text) - len(after) - len(end)]


def _around(card: Path, start: str, end: str) -> tuple[str, str]:
    if not card.is_file():
        raise ModelError(f"There is no card {card}: --card is for a model's folder that has one.")
    text = card.read_text(encoding="utf-8")
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise ModelError(
            f"{card} must hold the line {start} once, and {end} once below it: what lies between "
            "is replaced."
        )
    before, rest = text.split(start)
    return before, rest.split(end)[1]


def _key(entry: Any) -> tuple[str, str, str] | None:
    if "weights" not in entry:
        return None
    return entry["head"], entry["dataset"], entry["weights"]["variant"]
