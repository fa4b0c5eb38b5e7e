"""Which fault is tried at which point on which site, and the lanes in which they are played."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.faults import FAULTS, KILLED, Fault
from tests.faults.oracle import Pieces
from tests.faults.places import Site, SiteName, one_machine, several_machines
from tests.faults.points import FIRST_FRAME, MID_SEGMENT, Point
from tests.faults.run import Result, make_files, play, play_undisturbed

SITES: dict[SiteName, Callable[[Path], AbstractContextManager[Site]]] = {
    "SQLite + folder": one_machine,
    "PostgreSQL + Redis": several_machines,
}
# With what the service has when nobody sets anything: lease, heartbeat and sweep.
DEFAULTS: dict[str, Any] = {"webhook_seconds": 1.0}


@dataclass(frozen=True, slots=True)
class Cell:
    """One fault at one point on one site; with the default lease, or with a short one."""

    site: SiteName
    fault: Fault
    point: Point
    default_lease: bool = False

    @property
    def name(self) -> str:
        """As tables and test reports have it."""
        lease = ", default lease" if self.default_lease else ""
        return f"{self.fault.name}{lease} at {self.point.name} on {self.site}"


def all_cells() -> list[Cell]:
    """The full matrix."""
    slow = [
        Cell(site, KILLED, point, default_lease=True)
        for point in (FIRST_FRAME, MID_SEGMENT)
        for site in SITES
    ]
    return slow + [
        Cell(site, fault, point)
        for fault in FAULTS
        for point in fault.points
        for site in fault.sites
    ]


class Lane:
    """A site, a job's files, and what comes of them undisturbed: cells are played one by one."""

    def __init__(self, site: Site, folder: Path) -> None:
        self._site = site
        self._files = make_files(folder)
        self._undisturbed: Pieces = play_undisturbed(site, self._files)

    def play(self, cell: Cell) -> Result:
        """Play one cell."""
        return play(
            self._site,
            cell.fault,
            cell.point,
            files=self._files,
            undisturbed=self._undisturbed,
            settings=DEFAULTS if cell.default_lease else None,
        )


def play_all(
    cells: Sequence[Cell], *, lanes: int, folder: Path, told: Callable[[Cell, Result], None]
) -> None:
    """Play cells in several lanes for each site; `told` gets each as soon as it is over."""
    speaking = threading.Lock()

    def play_lane(site: Site, home: Path, waiting: deque[Cell]) -> None:
        lane = Lane(site, home)
        while True:
            try:
                cell = waiting.popleft()
            except IndexError:  # another lane took the last
                return
            result = lane.play(cell)
            with speaking:
                told(cell, result)

    with ExitStack() as sites, ThreadPoolExecutor(lanes * len(SITES)) as threads:
        running: list[Future[None]] = []
        for name, open_site in SITES.items():
            waiting = deque(cell for cell in cells if cell.site == name)
            for _ in range(min(lanes, len(waiting))):
                home = folder / str(len(running))
                # One after the other: migrations of two databases at once in a process are no use.
                site = sites.enter_context(open_site(home))
                running.append(threads.submit(play_lane, site, home, waiting))
        for lane in running:
            lane.result()
