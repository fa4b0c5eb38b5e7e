"""`make faults`: plays the fault matrix, prints its table and writes it into the docs."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console

from tests.faults.matrix import Cell, all_cells, play_all
from tests.faults.report import as_json, as_table, rows, write_docs
from tests.faults.run import Result

DOCS = Path(__file__).parents[2] / "docs" / "fault-matrix.md"


@click.command()
@click.option("--runs", default=1, show_default=True, help="Runs of each cell.")
@click.option("--lanes", default=2, show_default=True, help="Runs at once, for each site.")
@click.option("--only", default="", help="Cells whose name holds this text; the docs stay.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write all here too.")
@click.option("--logs", type=click.Path(path_type=Path), help="Keep logs of bad runs here.")
def main(*, runs: int, lanes: int, only: str, json_path: Path | None, logs: Path | None) -> None:
    """Play every fault at every point. The exit code is 1 where anything was lost or doubled."""
    console = Console(width=140)
    wanted = [cell for cell in all_cells() if only in cell.name]
    cells = [cell for cell in wanted if cell.fault.missing is None]
    missing = sorted(
        {f"{one.fault.name}: {one.fault.missing}" for one in wanted}
        - {f"{one.fault.name}: None" for one in wanted}
    )
    played: list[tuple[Cell, Result]] = []

    def told(cell: Cell, result: Result) -> None:
        played.append((cell, result))
        console.print(
            f"{len(played)}/{len(cells) * runs} {cell.name}: "
            + ("well" if result.well else f"[red]{_what_is_wrong(result)}[/red]")
            + f", recovered after {result.recovery_seconds} s, took {result.seconds:.0f} s",
            highlight=False,
        )
        if logs is not None and not result.well:
            logs.mkdir(parents=True, exist_ok=True)
            name = cell.name.replace(" ", "-").replace("/", "-")
            (logs / f"{name}.log").write_text(
                "\n".join([str(result.error), *result.lost, "--", *result.doubled, result.log]),
                encoding="utf-8",
            )

    with tempfile.TemporaryDirectory(
        prefix="faces-jobs-faults-", ignore_cleanup_errors=True
    ) as home:
        play_all(cells * runs, lanes=lanes, folder=Path(home), told=told)
    found = rows(played, cells)
    console.print(as_table(found))
    for sentence in missing:
        console.print(f"not played: {sentence}")
    if json_path is not None:
        json_path.write_text(as_json(found), encoding="utf-8")
    if not only:
        write_docs(DOCS, found, missing)
    sys.exit(0 if all(row.well for row in found) else 1)


def _what_is_wrong(result: Result) -> str:
    return result.error or f"lost {len(result.lost)}, doubled {len(result.doubled)}"


if __name__ == "__main__":
    main()
