"""Reads the figures that the metrics endpoint reports, with a bounded number of queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from faces_jobs.db.counts import (
    LeaseCounts,
    WaitingSegments,
    count_leases,
    count_open,
    waiting_by_priority,
)
from faces_jobs.db.processes import KINDS, GpuMemory, live_processes, read_measures
from faces_jobs.db.session import Database


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts and measurements of the whole service."""

    measures: Mapping[tuple[str, str], float]  # (name, label) -> value
    waiting: Mapping[str, WaitingSegments]  # by priority
    leases: LeaseCounts
    processes: Mapping[str, int]  # that are alive, by kind
    gpus: Mapping[str, GpuMemory]  # by host

    def of(self, name: str) -> dict[str, float]:
        """Return the measures of one name, by label."""
        return {label: value for (each, label), value in self.measures.items() if each == name}


def read_figures(database: Database, *, presence_timeout_seconds: float) -> Figures:
    """Read all figures.

    Jobs, items and segments that have not ended are counted here, by indexes that begin with the
    state. Those that ended were counted by the sweep.

    Args:
        database: where to read them.
        presence_timeout_seconds: a process without a report for this long counts as gone.

    Raises:
        DatabaseError: the database can't be reached.
    """
    with database.read() as session:
        measures = {(name, label): value for name, label, value in read_measures(session)}
        measures.update(count_open(session))
        now_waiting = waiting_by_priority(session)
        now_leased = count_leases(session)
    alive = live_processes(database, within_seconds=presence_timeout_seconds)
    kinds = Counter(process.kind for process in alive)
    return Figures(
        measures=measures,
        waiting=now_waiting,
        leases=now_leased,
        processes={kind: kinds[kind] for kind in KINDS},
        gpus={process.host: process.gpu for process in alive if process.gpu is not None},
    )
