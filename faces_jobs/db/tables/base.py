"""What every table is made of: names of constraints, types of columns, states and leases."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Double, Enum, Integer, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# SQLite numbers rows by itself only where the type is exactly INTEGER (which holds 64 bits there).
RowNumber = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """Names every constraint, so that a migration can drop or alter it on any database."""

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
    """Who works on the row, and until when its word counts.

    A worker's writes are accepted only while `lease_token` is the one it was given: a new claim
    brings a new token, so what an older claimant still does changes nothing.
    """

    lease_token: Mapped[str | None]
    lease_until: Mapped[float | None]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    worker: Mapped[str | None]
    last_rung_at: Mapped[float | None]  # None: no message was sent yet; the sweep sends one
    last_error: Mapped[str | None]  # what ended the last attempt: the evidence when none is left
    not_before: Mapped[float | None]  # the pause after a failed attempt
    exit_signal: Mapped[str | None] = mapped_column(String(16))  # that killed the last worker
    peak_memory_bytes: Mapped[int | None] = mapped_column(BigInteger)  # of it, when last heard of


def status_column(states: type[StrEnum]) -> Enum:
    """Text with a check: a state that the code doesn't know can't be stored."""
    return Enum(
        states,
        name="status",
        native_enum=False,
        create_constraint=True,
        length=32,
        values_callable=lambda given: [state.value for state in given],
    )
