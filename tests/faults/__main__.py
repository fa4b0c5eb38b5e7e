"""`make faults`: runs the fault matrix, prints its table and writes it into the docs."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console

from tests.faults.matrix import Cell, all_cells, play_all
from tests.faults.report import Record, as_table, write_docs
from tests.faults.run import Result

HERE = Path(__file__).parents[2]
DOCS = HERE / "docs" / "fault-matrix.md"
KEPT = HERE / "var" / "faults"


@click.command()
@click.option("--runs", default=1, show_default=True, help="Runs of each cell.")
@click.option("--lanes", default=2, show_default=True, help="Runs at once, for each site.")
@click.option("--only", multiple=True, help="Cells whose name holds this text; may be repeated.")
@click.option("--kept", type=click.Path(path_type=Path), default=KEPT, help="Results and logs.")
@click.option("--show", is_flag=True, help="Run nothing; show the last results.")
def main(*, runs: int, lanes: int, only: tuple[str, ...], kept: Path, show: bool) -> None:
    """Inject every fault at every point. The exit code is 1 if anything was lost or doubled."""
    console = Console(width=140)
    every = all_cells()
    wanted = [cell for cell in every if not only or any(text in cell.name for text in only)]
    cells = [] if show else [cell for cell in wanted if cell.fault.missing is None]
    lacks = {one.fault.name: one.fault.missing for one in wanted}
    missing = sorted(f"{fault}: {lack}" for fault, lack in lacks.items() if lack is not None)
    record = Record(kept / "faults.json")
    count = 0

    def report(cell: Cell, result: Result) -> None:
        nonlocal count
        count += 1
        record.add(cell, result)
        console.print(
            f"{count}/{len(cells) * runs} {cell.name}: {_summary(result)}", highlight=False
        )
        if not result.well:
            _keep_log(kept / f"{cell.name.replace(' ', '-')}.log", result)

    with tempfile.TemporaryDirectory(prefix="faces-jobs-faults-") as home:
        play_all(cells * runs, lanes=lanes, folder=Path(home), on_result=report)
    found = record.rows(wanted)
    console.print(as_table(found))
    for sentence in missing:
        console.print(f"not run: {sentence}")
    write_docs(DOCS, record.rows(every), missing)
    sys.exit(0 if all(row.well for row in found) else 1)


def _summary(result: Result) -> str:
    wrong = result.error or f"lost {len(result.lost)}, doubled {len(result.doubled)}"
    return (
        "well" if result.well else f"[red]{wrong}[/red]"
    ) + f", recovered after {result.recovery_seconds or 0:.1f} s, took {result.seconds:.0f} s"


def _keep_log(path: Path, result: Result) -> None:
    lines = [str(result.error), "lost:", *result.lost, "doubled:", *result.doubled, result.log]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
