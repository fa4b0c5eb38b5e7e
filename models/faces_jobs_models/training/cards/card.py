"""Writes a model's figures into its card, between two marks; the rest of the card is kept."""

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
    """Merge entries into `figures.json`, and write tables of all its entries into `CARD.md`.

    Earlier entries of the same weights are kept, unless there is a new one for the same data.

    Args:
        folder: the model's.
        entries: as `faces-jobs evaluate --json` prints them.
        tables: formats entries as Markdown.

    Returns:
        Path of the card.

    Raises:
        ModelError: there is no card, it lacks the two marks, or `figures.json` can't be read.
    """
    card = folder / CARD_NAME
    _split_at_marks(card, START, END)  # raises before anything is written
    current = {entry["weights"]["variant"]: entry["weights"]["sha256"] for entry in entries}
    kept = {
        _key(entry): entry
        for entry in read_figures(folder)
        if current.get(entry["weights"]["variant"], entry["weights"]["sha256"])
        == entry["weights"]["sha256"]
    }
    merged = list({**kept, **{_key(entry): entry for entry in entries}}.values())
    (folder / FIGURES_NAME).write_text(json.dumps(merged, indent=1) + "\n", encoding="utf-8")
    return replace_section(card, START, END, tables(merged))


def replace_section(card: Path, start: str, end: str, text: str) -> Path:
    """Write `text`, which ends with a line break, between two marks of a card.

    Raises:
        ModelError: there is no card, or it lacks the marks.
    """
    before, after = _split_at_marks(card, start, end)
    card.write_text(f"{before}{start}\n\n{text}\n{end}{after}", encoding="utf-8")
    return card


def read_figures(folder: Path) -> list[Any]:
    """Read the evaluation's entries in a model's `figures.json`; an empty list if there is no file.

    Entries that training wrote are left out: they lack the weights that were evaluated.

    Raises:
        ModelError: the file does not hold a list of entries.
    """
    path = folder / FIGURES_NAME
    if not path.is_file():
        return []
    try:
        return [entry for entry in json.loads(path.read_text(encoding="utf-8")) if _key(entry)]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} does not hold figures ({error}): delete it and evaluate again."
        ) from error


def _split_at_marks(card: Path, start: str, end: str) -> tuple[str, str]:
    if not card.is_file():
        raise ModelError(f"There is no card {card}: --card needs a model folder that has one.")
    text = card.read_text(encoding="utf-8")
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise ModelError(
            f"{card} must contain the line {start} once, and {end} once below it: the text "
            "between them is replaced."
        )
    before, rest = text.split(start)
    return before, rest.split(end)[1]


def _key(entry: Any) -> tuple[str, str, str] | None:
    if "weights" not in entry:
        return None
    return entry["head"], entry["dataset"], entry["weights"]["variant"]
