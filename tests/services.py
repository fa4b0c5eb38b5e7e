"""How long tests wait for services, and what happens when one is missing."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

# How long a test waits for a process. Long, since a busy machine may be slow to start one; a test
# that passes does not wait that long.
TIMEOUT_SECONDS = 120


def missing_service(reason: str) -> NoReturn:
    """Skip the test for this reason, or fail it if REQUIRE_SERVICES=1."""
    if os.environ.get("REQUIRE_SERVICES") == "1":  # noqa: TID251 (a switch of the tests themselves)
        pytest.fail(f"REQUIRE_SERVICES=1, but {reason}", pytrace=False)
    pytest.skip(reason)
