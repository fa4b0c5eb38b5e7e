"""Settings as text: what variables of the environment say, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError

from faces_jobs.errors import SettingsError

ENVIRONMENT_PREFIX = "FACES_JOBS_"


def values_by_setting(names: Collection[str], environment: Mapping[str, str]) -> dict[str, object]:
    """What each setting is said to be: text, but for the one that is JSON.

    Raises:
        SettingsError: a variable that is none of these settings, twice the same, a file that
            can't be read, or no JSON.
    """
    values: dict[str, object] = {}
    for variable, text in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or not text:
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        from_file = name not in names and name.endswith("_file")
        if from_file:
            name = name.removesuffix("_file")
        if name not in names:
            raise SettingsError(_unknown(variable, name, names))
        if name in values:
            raise SettingsError(f"{variable} is set twice, once as a value and once as a file.")
        said = _read(variable, text) if from_file else text
        values[name] = _roots_from(said) if name == "roots" else said
    return values


def reasons(error: ValidationError) -> str:
    """What is wrong with settings, in the names of their variables."""
    found = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(str(part) for part in problem["loc"])
        reason = problem["msg"].removeprefix("Value error, ")
        found.append(f"{ENVIRONMENT_PREFIX}{name.upper()}: {reason}" if name else reason)
    return "Settings can't be used: " + "; ".join(found) + "."


def _unknown(variable: str, name: str, names: Collection[str]) -> str:
    near = get_close_matches(name, names, n=1)
    meant = f" Is {ENVIRONMENT_PREFIX}{near[0].upper()} meant?" if near else ""
    return f"{variable} is no setting.{meant} docs/settings.md lists them all."


def _read(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{variable}: can't read that file: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{variable}: can't read that file: it is no UTF-8 text.") from error


def _roots_from(text: str) -> object:
    try:
        roots = json.loads(text)
    except ValueError:
        roots = None
    if isinstance(roots, dict) and all(isinstance(folder, str) for folder in roots.values()):
        return roots
    raise SettingsError(
        "FACES_JOBS_ROOTS is no JSON object of names and folders; write it as "
        '{"films": "/srv/films"}.'
    )
