"""Below which probability an answer is `unsure`: how it is said, in settings, options and rows."""

from __future__ import annotations

import math
from collections.abc import Mapping

from faces_jobs.jobs.labels import HEADS, MODELS

NEVER = "off"


def parse_unsure_below(text: str) -> dict[str, float]:
    """What a user says of thresholds, as head -> probability; heads that are not named are absent.

    `0.5` is for all heads, `0` or `off` for never. `gender=0.7,multiple=0.5,age=off` names models
    and heads, in any order: a head's own number counts before that of its model. Empty names none.

    Raises:
        ValueError: no number from 0 to 1, an unknown name, or a name given twice.
    """
    parts = [part.strip() for part in text.split(",")]
    if parts == [""]:
        return {}
    if len(parts) == 1 and "=" not in text:
        return dict.fromkeys(HEADS, _threshold(parts[0]))
    said: dict[str, float] = {}
    for part in parts:
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ValueError(f"{part!r} should be NAME=NUMBER, such as gender=0.7")
        if name not in MODELS and name not in HEADS:
            known = ", ".join(dict.fromkeys([*MODELS, *HEADS]))
            raise ValueError(f"{name!r} is no model and no head; known are {known}")
        if name in said:
            raise ValueError(f"{name} is given twice")
        said[name] = _threshold(value)
    of_models = {head: said[model] for model in MODELS if model in said for head in MODELS[model]}
    return of_models | {head: said[head] for head in HEADS if head in said}


def format_unsure_below(thresholds: Mapping[str, float]) -> str:
    """Thresholds of heads as text that `parse_unsure_below` reads back."""
    return ",".join(f"{head}={thresholds[head]}" for head in HEADS if head in thresholds)


def _threshold(text: str) -> float:
    try:
        number = 0.0 if text.lower() == NEVER else float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise ValueError(f"{text!r} is no probability: write a number from 0 to 1, or {NEVER}")
    return number
