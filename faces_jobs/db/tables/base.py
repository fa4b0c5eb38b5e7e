"""The declarative base: naming of constraints, column types, status and lease columns."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Double, Enum, Integer, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# SQLite assigns row ids only if the type is exactly INTEGER (which has 64 bits there).
RowNumber = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """The base of all tables, which names constraints so that migrations can drop or alter them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy's own form)
        float: Double(),
        str: Text(),
        dict[str, Any]: JSON(),
        list[str]: JSON(),
    }


class LeaseColumns:
    """Which worker holds the row, and until when.

    A worker's writes are accepted only while `lease_token` is the one of its claim. A new claim
    sets a new token, so that a worker that lost its lease can't change anything.
    """

    lease_token: Mapped[str | None]
    lease_until: Mapped[float | None]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    worker: Mapped[str | None]
    last_rung_at: Mapped[float | None]  # None: no message was sent yet; the sweep sends one
    last_error: Mapped[str | None]  # why the last attempt ended; evidence once attempts run out
    not_before: Mapped[float | None]  # the end of the pause after a failed attempt
    exit_signal: Mapped[str | None] = mapped_column(String(16))  # the signal that killed the worker
    peak_memory_bytes: Mapped[int | None] = mapped_column(BigInteger)  # as of the last renewal


def status_column(states: type[StrEnum]) -> Enum:
    """Return a text type with a CHECK constraint that allows these states only."""
    return Enum(
        states,
        name="status",
        native_enum=False,
        create_constraint=True,
        length=32,
        values_callable=lambda given: [state.value for state in given],
    )
