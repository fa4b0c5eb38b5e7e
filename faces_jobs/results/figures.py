"""Figures of the whole service for its metrics, in a bounded number of questions."""

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
    """How much there is of what."""

    measures: Mapping[tuple[str, str], float]  # (name, label) to what was counted
    waiting: Mapping[str, WaitingSegments]  # by priority
    leases: LeaseCounts
    processes: Mapping[str, int]  # that live, by kind
    gpus: Mapping[str, GpuMemory]  # by host

    def of(self, name: str) -> dict[str, float]:
        """The figures of one name, by their label."""
        return {label: value for (one, label), value in self.measures.items() if one == name}


def read_figures(database: Database, *, silent_seconds: float) -> Figures:
    """Ask for all figures.

    What is asked of jobs, items and segments is asked of those alone that have not ended: their
    indexes begin with the state. The others were counted by the sweep.

    Raises:
        DatabaseError: it does not answer.
    """
    with database.read() as session:
        measures = {(name, label): value for name, label, value in read_measures(session)}
        measures.update(count_open(session))
        now_waiting = waiting_by_priority(session)
        now_leased = count_leases(session)
    alive = live_processes(database, within_seconds=silent_seconds)
    kinds = Counter(process.kind for process in alive)
    return Figures(
        measures=measures,
        waiting=now_waiting,
        leases=now_leased,
        processes={kind: kinds[kind] for kind in KINDS},
        gpus={process.host: process.gpu for process in alive if process.gpu is not None},
    )
