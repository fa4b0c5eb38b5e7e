"""The fault matrix as tables: on a terminal, as JSON, and in docs/fault-matrix.md."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

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
        """Whether each came out as if nothing had happened."""
        return all(result.well for result in self.results)

    def values(self) -> list[str]:
        """What the table shows, in its columns' order."""
        found = [one.recovery_seconds for one in self.results if one.recovery_seconds is not None]
        lease = ", default lease" if self.cell.default_lease else ""
        broken = [one for one in self.results if one.error]
        lost = str(sum(len(one.lost) for one in self.results))
        return [
            f"{self.cell.fault.name}{lease}",
            self.cell.point.name,
            self.cell.site,
            str(len(self.results)),
            f"{lost}, {len(broken)} did not end well" if broken else lost,
            str(sum(len(one.doubled) for one in self.results)),
            str(max(one.again for one in self.results)),
            _range(found),
        ]


def rows(played: Iterable[tuple[Cell, Result]], cells: Sequence[Cell]) -> list[Row]:
    """What was played, in the matrix's order."""
    results: dict[Cell, list[Result]] = defaultdict(list)
    for cell, result in played:
        results[cell].append(result)
    return [Row(cell, results[cell]) for cell in cells if cell in results]


def as_table(found: Sequence[Row]) -> Table:
    """For a terminal."""
    table = Table(*COLUMNS, title="fault matrix")
    for row in found:
        table.add_row(*row.values(), style="" if row.well else "bold red")
    return table


def as_json(found: Sequence[Row]) -> str:
    """Everything, for machines."""
    return json.dumps(
        [
            {
                "site": row.cell.site,
                "fault": row.cell.fault.name,
                "point": row.cell.point.name,
                "default_lease": row.cell.default_lease,
                "runs": [
                    {
                        "lost": one.lost,
                        "doubled": one.doubled,
                        "again": one.again,
                        "recovery_seconds": one.recovery_seconds,
                        "seconds": one.seconds,
                        "error": one.error,
                    }
                    for one in row.results
                ],
            }
            for row in found
        ],
        indent=1,
    )


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
    lines += [f"Not played: {sentence}." for sentence in missing]
    lines += ["", f"| {' | '.join(COLUMNS)} |", "|---|---|---|" + "---:|" * (len(COLUMNS) - 3)]
    lines += [f"| {' | '.join(row.values())} |" for row in found]
    return "\n".join(lines) + "\n\n"


def _range(found: Sequence[float]) -> str:
    if not found:
        return "-"
    first, last = f"{min(found):.1f}", f"{max(found):.1f}"
    return first if first == last else f"{first} to {last}"
