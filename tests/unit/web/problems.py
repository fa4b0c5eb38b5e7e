"""Assertions about problem documents, which must not leak internals."""

from __future__ import annotations

import re
from typing import Any

from werkzeug.test import TestResponse

LEAKS = re.compile(
    r"Traceback|File \"|/tmp/|/var/|/home/|/root/|site-packages|\.py\b|sqlite|SELECT |0x[0-9a-f]{6}"
)


def assert_problem(
    response: TestResponse, status: int, code: str, *, fields: set[str] | None = None
) -> str:
    """Check a problem document; return its detail."""
    assert response.status_code == status, response.text
    assert response.mimetype == "application/problem+json"
    problem: Any = response.json
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["type"] == f"/problems/{code}"
    assert problem["title"]
    assert problem["detail"].endswith((".", "?"))
    if fields is not None:
        assert set(problem["fields"]) == fields
    assert_no_leak(response)
    return str(problem["detail"])


def assert_no_leak(response: TestResponse) -> None:
    """Check that an error contains no traceback, file path or SQL statement."""
    assert not (leak := LEAKS.search(response.text)), leak
