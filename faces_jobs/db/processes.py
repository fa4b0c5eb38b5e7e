"""Heartbeats of the web, worker and sweep processes, and the metrics that they report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from faces_jobs.counters import Counts
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.session import Database
from faces_jobs.db.tables import MeasureRow, ProcessRow
from faces_jobs.db.upsert import upsert

ProcessKind = Literal["web", "worker", "sweep"]
KINDS: tuple[ProcessKind, ...] = ("web", "worker", "sweep")


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """Memory of the GPU that a process uses, in bytes; `used` counts all processes."""

    used: int
    total: int


@dataclass(frozen=True, slots=True)
class Process:
    """A process as it reports itself. What it holds is in the `worker` column of other tables."""

    name: str
    kind: ProcessKind
    host: str
    pid: int
    version: str
    device: str | None = None
    gpu: GpuMemory | None = None


@dataclass(frozen=True, slots=True)
class LiveProcess:
    """A process with a recent heartbeat."""

    name: str
    kind: str
    host: str
    presence_timeout_seconds: float
    gpu: GpuMemory | None


def record_heartbeat(database: Database, process: Process, counts: Counts) -> None:
    """Record a heartbeat and add the counts that come with it, all or nothing.

    Raises:
        DatabaseError, StorageFullError: nothing was recorded.
    """
    values = {
        "kind": process.kind,
        "host": process.host,
        "pid": process.pid,
        "version": process.version,
        "device": process.device,
        "gpu_used_bytes": process.gpu.used if process.gpu else None,
        "gpu_total_bytes": process.gpu.total if process.gpu else None,
        "seen_at": now_seconds(),
    }
    with database.begin() as session:
        # Inserted by the first heartbeat, and by the first after the row was deleted as stale.
        row = upsert(session, ProcessRow).values(
            name=process.name, started_at=now_seconds(), **values
        )
        session.execute(row.on_conflict_do_update(index_elements=["name"], set_=values))
        add_counts(session, counts)


def delete_process(database: Database, name: str) -> None:
    """Delete the row of a process that has ended."""
    with database.begin() as session:
        session.execute(delete(ProcessRow).where(ProcessRow.name == name))


def delete_silent_processes(database: Database, *, presence_timeout_seconds: float) -> list[str]:
    """Delete processes without a heartbeat for `presence_timeout_seconds`. Returns their names.

    Also those with a heartbeat that far in the future: the clock was set back since then, and a
    process that is alive reports again.
    """
    now = now_seconds()
    silent = or_(
        ProcessRow.seen_at < now - presence_timeout_seconds,
        ProcessRow.seen_at > now + presence_timeout_seconds,
    )
    with database.read() as session:
        if session.scalar(select(ProcessRow.name).where(silent).limit(1)) is None:
            return []
    with database.begin() as session:
        return list(session.scalars(delete(ProcessRow).where(silent).returning(ProcessRow.name)))


def live_processes(database: Database, *, within_seconds: float) -> list[LiveProcess]:
    """Return processes with a heartbeat within the last `within_seconds`."""
    now = now_seconds()
    statement = (
        select(ProcessRow, (now - ProcessRow.seen_at).label("silent"))
        .where(ProcessRow.seen_at >= now - within_seconds)
        .order_by(ProcessRow.name)
    )
    with database.read() as session:
        return [_live_process(row, silent) for row, silent in session.execute(statement)]


def set_measures(database: Database, measures: Mapping[tuple[str, str], float]) -> None:
    """Set metrics, by (name, label)."""
    with database.begin() as session:
        _write_measures(session, measures, is_sum=False)


def read_measures(session: Session) -> Sequence[tuple[str, str, float]]:
    """Return all metrics as (name, label, value)."""
    rows = session.execute(
        select(MeasureRow.name, MeasureRow.label, MeasureRow.value).order_by(
            MeasureRow.name, MeasureRow.label
        )
    )
    return [(row.name, row.label, row.value) for row in rows]


def add_counts(session: Session, counts: Counts) -> None:
    """Add to metrics."""
    _write_measures(session, counts, is_sum=True)


def _write_measures(
    session: Session, measures: Mapping[tuple[str, str], float], *, is_sum: bool
) -> None:
    """Set metrics or, with `is_sum`, add to them."""
    # Sorted: rows are locked in the same order everywhere, to avoid deadlocks.
    for (name, label), value in sorted(measures.items()):
        row = upsert(session, MeasureRow).values(
            name=name, label=label, value=value, told_at=now_seconds()
        )
        new = MeasureRow.value + row.excluded.value if is_sum else row.excluded.value
        session.execute(
            row.on_conflict_do_update(
                index_elements=["name", "label"],
                set_={"value": new, "told_at": row.excluded.told_at},
            )
        )


def _live_process(row: ProcessRow, presence_timeout_seconds: float) -> LiveProcess:
    gpu = (
        GpuMemory(row.gpu_used_bytes, row.gpu_total_bytes)
        if row.gpu_used_bytes is not None and row.gpu_total_bytes is not None
        else None
    )
    return LiveProcess(
        name=row.name,
        kind=row.kind,
        host=row.host,
        presence_timeout_seconds=presence_timeout_seconds,
        gpu=gpu,
    )
