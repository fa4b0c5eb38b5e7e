"""One catalog for the tests of the networks: opening it takes a second."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faces_jobs_models.catalog import Catalog, open_catalog


@pytest.fixture(scope="session")
def catalog() -> Iterator[Catalog]:
    """The shipped networks on the CPU."""
    with open_catalog(device="cpu") as opened:
        yield opened
