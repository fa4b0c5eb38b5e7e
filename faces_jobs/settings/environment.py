"""Reads settings from environment variables, and formats what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError

from faces_jobs.errors import SettingsError

ENVIRONMENT_PREFIX = "FACES_JOBS_"


def values_by_setting(names: Collection[str], environment: Mapping[str, str]) -> dict[str, object]:
    """Return the value of each setting that is set: text, or a dict for the one that is JSON.

    Raises:
        SettingsError: a variable names no setting, a setting is set twice, a file can't be read,
            or a value is not valid JSON.
    """
    values: dict[str, object] = {}
    for variable, text in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or not text:
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        from_file = name.endswith("_file")
        if from_file:
            name = name.removesuffix("_file")
        if name not in names:
            raise SettingsError(_unknown(variable, name, names))
        if name in values:
            raise SettingsError(f"{variable} is set twice, once as a value and once as a file.")
        value = _read(variable, text) if from_file else text
        values[name] = _parse_roots(value) if name == "roots" else value
    return values


def format_errors(error: ValidationError) -> str:
    """Say what is wrong with settings, by the names of their variables."""
    reasons = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(str(part) for part in problem["loc"])
        reason = problem["msg"].removeprefix("Value error, ")
        reasons.append(f"{ENVIRONMENT_PREFIX}{name.upper()}: {reason}" if name else reason)
    return "Invalid settings: " + "; ".join(reasons) + "."


def _unknown(variable: str, name: str, names: Collection[str]) -> str:
    similar = get_close_matches(name, names, n=1)
    hint = f" Did you mean {ENVIRONMENT_PREFIX}{similar[0].upper()}?" if similar else ""
    return f"{variable} is not a setting.{hint} docs/settings.md lists all settings."


def _read(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{variable}: can't read that file: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{variable}: can't read that file: it is not UTF-8 text.") from error


def _parse_roots(text: str) -> object:
    try:
        roots = json.loads(text)
    except ValueError:
        roots = None
    if isinstance(roots, dict) and all(isinstance(folder, str) for folder in roots.values()):
        return roots
    raise SettingsError(
        "FACES_JOBS_ROOTS is not a JSON object of names and folders; write it as "
        '{"films": "/srv/films"}.'
    )
