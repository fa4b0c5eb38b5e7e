"""One cache of compiled SQL for all databases of a test process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.default import DefaultDialect


@contextmanager
def shared_statements() -> Iterator[None]:
    """Compile each statement once for all engines of a kind, and not again for every test.

    Every test opens its own database. Without this, more than a third of the time of the tests of
    pages and stores is spent on compiling the same statements. SQLAlchemy caches them by dialect,
    of which each engine has its own, equal to no other.
    """
    statements: dict[Any, Any] = {}

    def share(connection: Connection) -> None:
        connection.execution_options(compiled_cache=statements)

    event.listen(Engine, "engine_connect", share)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DefaultDialect, "__hash__", lambda dialect: hash(type(dialect)))
        patch.setattr(DefaultDialect, "__eq__", _are_of_a_kind)
        yield
    event.remove(Engine, "engine_connect", share)


def _are_of_a_kind(one: DefaultDialect, other: object) -> bool:
    """Whether statements have the same text for both."""
    return type(one) is type(other) and one.server_version_info == getattr(
        other, "server_version_info", None
    )
