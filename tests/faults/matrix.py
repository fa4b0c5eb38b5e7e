"""Which fault is injected at which point on which site, and the lanes that run these cells."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.environments import Site, SiteName, one_machine, several_machines
from tests.faults.faults import FAULTS, KILLED, Fault
from tests.faults.oracle import Pieces
from tests.faults.points import FIRST_FRAME, MID_SEGMENT, Point
from tests.faults.run import Result, make_files, make_long_file, play, play_undisturbed

SITES: dict[SiteName, Callable[[Path], AbstractContextManager[Site]]] = {
    "SQLite + folder": one_machine,
    "PostgreSQL + Redis": several_machines,
}
# The service's own defaults of lease, heartbeat and sweep.
DEFAULTS: dict[str, Any] = {"webhook_seconds": 1.0}


@dataclass(frozen=True, slots=True)
class Cell:
    """One fault at one point on one site, with the default lease or a short one."""

    site: SiteName
    fault: Fault
    point: Point
    default_lease: bool = False
    others_busy: bool = False  # all other workers have work, of a job that comes first

    @property
    def name(self) -> str:
        """The name in test reports."""
        return f"{self.what} at {self.point.name} on {self.site}"

    @property
    def what(self) -> str:
        """The fault, and under which conditions it is injected."""
        conditions = {"default lease": self.default_lease, "others busy": self.others_busy}
        return ", ".join([self.fault.name, *(name for name, is_so in conditions.items() if is_so)])


def all_cells() -> list[Cell]:
    """The full matrix."""
    slow = [
        Cell(site, KILLED, point, default_lease=True)
        for point in (FIRST_FRAME, MID_SEGMENT)
        for site in SITES
    ]
    slow += [
        Cell(site, KILLED, MID_SEGMENT, default_lease=True, others_busy=True) for site in SITES
    ]
    return slow + [
        Cell(site, fault, point)
        for fault in FAULTS
        for point in fault.points
        for site in fault.sites
    ]


class Lane:
    """A site, a job's files and their undisturbed results; runs one cell at a time."""

    def __init__(self, site: Site, folder: Path) -> None:
        self._site = site
        self._folder = folder
        self._files = make_files(folder)
        self._undisturbed: Pieces = play_undisturbed(site, self._files)

    def play(self, cell: Cell) -> Result:
        """Run one cell."""
        return play(
            self._site,
            cell.fault,
            cell.point,
            files=self._files,
            undisturbed=self._undisturbed,
            settings=DEFAULTS if cell.default_lease else None,
            long_file=make_long_file(self._folder) if cell.others_busy else None,
        )


def play_all(
    cells: Sequence[Cell], *, lanes: int, folder: Path, on_result: Callable[[Cell, Result], None]
) -> None:
    """Run cells in several lanes per site; `on_result` gets each result as it arrives."""
    reporting = threading.Lock()

    def play_lane(site: Site, home: Path, waiting: deque[Cell]) -> None:
        lane = Lane(site, home)
        while True:
            try:
                cell = waiting.popleft()
            except IndexError:  # another lane took the last
                return
            result = lane.play(cell)
            with reporting:
                on_result(cell, result)

    with ExitStack() as sites, ThreadPoolExecutor(lanes * len(SITES)) as threads:
        running: list[Future[None]] = []
        for name, open_site in SITES.items():
            waiting = deque(cell for cell in cells if cell.site == name)
            for _ in range(min(lanes, len(waiting))):
                home = folder / str(len(running))
                # One after the other: Alembic can't migrate two databases at once in a process.
                site = sites.enter_context(open_site(home))
                running.append(threads.submit(play_lane, site, home, waiting))
        for lane in running:
            lane.result()
