"""Documents are printed as valid JSON in every encoding."""

from __future__ import annotations

import io
import json
import sys

import pytest
from pydantic import BaseModel

from faces_jobs.cli.json_output import print_document


class Named(BaseModel):
    """A document with a name that users gave."""

    name: str


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252", "ascii"])
@pytest.mark.parametrize("indent", [2, None])
def test_names_survive_any_encoding(
    monkeypatch: pytest.MonkeyPatch, encoding: str, indent: int | None
) -> None:
    printed = io.BytesIO()
    output = io.TextIOWrapper(printed, encoding=encoding, errors="backslashreplace")
    monkeypatch.setattr(sys, "stdout", output)
    print_document(Named(name="café 😀"), indent=indent)
    output.flush()
    text = printed.getvalue().decode("utf-8")
    assert json.loads(text) == {"name": "café 😀"}
    assert ("café" in text) == (encoding == "utf-8")
