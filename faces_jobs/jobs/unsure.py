"""Parses and formats the thresholds of `unsure` that settings, options and rows contain."""

from __future__ import annotations

import math
from collections.abc import Mapping

from faces_jobs.jobs.labels import HEADS, MODELS

OFF = "off"


def parse_unsure_below(text: str) -> dict[str, float]:
    """Parse thresholds to a mapping head -> probability; heads that are not named are absent.

    `0.5` applies to all heads, `0` or `off` means never. `gender=0.7,multiple=0.5,age=off` names
    models and heads, in any order: a head's own number takes precedence over that of its model.
    An empty text names none.

    Raises:
        ValueError: a threshold is not a number from 0 to 1, or a name is unknown or given twice.
    """
    parts = [part.strip() for part in text.split(",")]
    if parts == [""]:
        return {}
    if len(parts) == 1 and "=" not in text:
        return dict.fromkeys(HEADS, _threshold(parts[0]))
    thresholds: dict[str, float] = {}
    for part in parts:
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ValueError(f"{part!r} should be NAME=NUMBER, such as gender=0.7")
        if name not in MODELS and name not in HEADS:
            known = ", ".join(dict.fromkeys([*MODELS, *HEADS]))
            raise ValueError(f"{name!r} is neither a model nor a head; known are {known}")
        if name in thresholds:
            raise ValueError(f"{name} is given twice")
        thresholds[name] = _threshold(value)
    by_model = {
        head: thresholds[model] for model in MODELS if model in thresholds for head in MODELS[model]
    }
    return by_model | {head: thresholds[head] for head in HEADS if head in thresholds}


def format_unsure_below(thresholds: Mapping[str, float]) -> str:
    """Format thresholds by head as a text that `parse_unsure_below` parses."""
    return ",".join(f"{head}={thresholds[head]}" for head in HEADS if head in thresholds)


def _threshold(text: str) -> float:
    try:
        number = 0.0 if text.lower() == OFF else float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise ValueError(f"{text!r} is not a probability: write a number from 0 to 1, or {OFF}")
    return number
