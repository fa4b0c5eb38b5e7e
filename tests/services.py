"""What tests expect of the services they start, or that the machine is to have."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

# The longest that a test waits for a process. Where all is well it costs nothing, and a machine
# on which others work, too, may take long for a start.
PATIENCE_SECONDS = 120


def missing_service(sentence: str) -> NoReturn:
    """End the test: skipped with this sentence, or failed when REQUIRE_SERVICES=1."""
    if os.environ.get("REQUIRE_SERVICES") == "1":  # noqa: TID251 (the tests' own switch)
        pytest.fail(f"REQUIRE_SERVICES=1, but {sentence}", pytrace=False)
    pytest.skip(sentence)
