"""Results of the fault matrix: stored as JSON, shown on a terminal and in docs/fault-matrix.md."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from tests.faults.matrix import Cell
from tests.faults.run import Result

BEGIN = "<!-- figures: written by `make faults` -->"
END = "<!-- end of figures -->"
COLUMNS = ("fault", "point", "site", "runs", "lost", "doubled", "again", "seconds to recovery")


@dataclass(frozen=True, slots=True)
class Row:
    """All runs of one cell."""

    cell: Cell
    results: list[Result]

    @property
    def well(self) -> bool:
        """Whether every run equals the undisturbed one."""
        return all(result.well for result in self.results)

    def values(self) -> list[str]:
        """The cells of its line in the table, in the columns' order."""
        found = [one.recovery_seconds for one in self.results if one.recovery_seconds is not None]
        broken = [one for one in self.results if one.error]
        lost = str(sum(len(one.lost) for one in self.results))
        return [
            self.cell.what,
            self.cell.point.name,
            self.cell.site,
            str(len(self.results)),
            f"{lost}, {len(broken)} did not end well" if broken else lost,
            str(sum(len(one.doubled) for one in self.results)),
            str(max(one.again for one in self.results)),
            _range(found),
        ]


def as_table(found: Sequence[Row]) -> Table:
    """The results as a table for a terminal."""
    table = Table(*COLUMNS, title="fault matrix")
    for row in found:
        table.add_row(*row.values(), style="" if row.well else "bold red")
    return table


class Record:
    """The last results of each cell, in a file that is rewritten with every result."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._played: set[str] = set()
        self._results: dict[str, list[dict[str, Any]]] = {}
        if path.exists():
            self._results = json.loads(path.read_text(encoding="utf-8"))

    def add(self, cell: Cell, result: Result) -> None:
        """Add a result; the first of a cell replaces those of earlier invocations."""
        if cell.name not in self._played:
            self._played.add(cell.name)
            self._results[cell.name] = []
        kept = asdict(result)
        del kept["log"]
        self._results[cell.name].append(kept)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self._results, indent=1), encoding="utf-8")

    def rows(self, cells: Sequence[Cell]) -> list[Row]:
        """The results of these cells, in their order."""
        return [
            Row(cell, [Result(**one) for one in self._results[cell.name]])
            for cell in cells
            if cell.name in self._results
        ]


def write_docs(path: Path, found: Sequence[Row], missing: Sequence[str]) -> None:
    """Replace the figures in the page."""
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{_figures(found, missing)}{END}{after}", encoding="utf-8")


def _figures(found: Sequence[Row], missing: Sequence[str]) -> str:
    runs = [one for row in found for one in row.results]
    well = sum(one.well for one in runs)
    day = datetime.now(tz=UTC).date().isoformat()
    summary = (
        f"{day}, {os.cpu_count()} cores: {len(runs)} runs of {len(found)} cells, {well} of them "
        f"with nothing lost and nothing doubled; lost {sum(len(one.lost) for one in runs)}, "
        f"doubled {sum(len(one.doubled) for one in runs)}, "
        f"{sum(one.error is not None for one in runs)} did not end well."
    )
    lines = ["", summary, ""]
    lines += [f"Not run: {sentence}." for sentence in missing]
    lines += ["", f"| {' | '.join(COLUMNS)} |", "|---|---|---|" + "---:|" * (len(COLUMNS) - 3)]
    lines += [f"| {' | '.join(row.values())} |" for row in found]
    return "\n".join(lines) + "\n\n"


def _range(found: Sequence[float]) -> str:
    if not found:
        return "-"
    first, last = f"{min(found):.1f}", f"{max(found):.1f}"
    return first if first == last else f"{first} to {last}"
