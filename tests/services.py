"""What to do when a test's service is missing: skip on a laptop, fail where it was promised."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing_service(sentence: str) -> NoReturn:
    """End the test: skipped with this sentence, or failed when REQUIRE_SERVICES=1."""
    if os.environ.get("REQUIRE_SERVICES") == "1":  # noqa: TID251 (the tests' own switch)
        pytest.fail(f"REQUIRE_SERVICES=1, but {sentence}", pytrace=False)
    pytest.skip(sentence)
