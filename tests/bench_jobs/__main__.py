"""Benchmarks the job engine: clients, the queue's overhead, a folder of images, queries."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from faces_jobs.db.session import open_database
from tests.bench.clips import repeated, sample_720p
from tests.bench_jobs.backends import BACKENDS, SQLITE, MissingServerError, open_backend
from tests.bench_jobs.clients import CLIENTS, measure_clients
from tests.bench_jobs.images import measure_images, write_images
from tests.bench_jobs.overhead import measure_overhead
from tests.bench_jobs.queries import measure_queries
from tests.bench_jobs.rows import populate

OUTPUT = Path("var/bench/jobs.json")
NEVER_CUT = "100000"  # seconds a segment

Row = dict[str, Any]


def main() -> None:
    """Measure the chosen subjects, print them, and add them to the results of earlier runs."""
    arguments = _arguments()
    console = Console(width=120, highlight=False)
    conditions = {
        "machine": f"{os.cpu_count()} cores, {sys.platform}, Python {sys.version.split()[0]}",
        "load_before": round(os.getloadavg()[0], 1),
    }
    console.print(f"{conditions['machine']}; load before: {conditions['load_before']}")
    results: dict[str, Any] = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {}
    subjects: dict[str, Callable[[argparse.Namespace, Console], list[Row]]] = {
        "clients": _clients,
        "overhead": _overhead,
        "images": _images,
        "queries": _queries,
    }
    for subject in arguments.subjects or subjects:
        rows = subjects[subject](arguments, console)
        results[subject] = {**conditions, "figures": rows}
        OUTPUT.parent.mkdir(parents=True, exist_ok=True)
        OUTPUT.write_text(json.dumps(results, indent=2) + "\n")
    console.print(f"Written to {OUTPUT}")


def _clients(arguments: argparse.Namespace, console: Console) -> list[Row]:
    rows = []
    for name in _available(console, f"{CLIENTS} clients"):
        with open_backend(name) as backend:
            submitted, polled = measure_clients(
                backend, submissions=arguments.requests, polls=arguments.requests
            )
        for what, figures in (("submit", submitted), ("poll", polled)):
            rows.append({"stores": name, "what": what, **asdict(figures)})
    _print(console, f"{CLIENTS} concurrent clients", rows)
    return rows


def _overhead(arguments: argparse.Namespace, console: Console) -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        clip = repeated(sample_720p(folder), arguments.clip_seconds // 10, folder)
        cut = stack.enter_context(open_backend(SQLITE))
        uncut = stack.enter_context(open_backend(SQLITE, segment_seconds=NEVER_CUT))
        for annotated in (False, True):
            overhead = measure_overhead(
                cut, uncut, clip, folder, annotated=annotated, rounds=arguments.rounds
            )
            rows += [asdict(figures) for figures in overhead]
    _print(console, f"a clip of {arguments.clip_seconds} s: job and `faces-jobs run`", rows)
    return rows


def _images(arguments: argparse.Namespace, console: Console) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory() as name:
        pictures = Path(name) / "pictures"
        write_images(pictures, arguments.images)
        for stores in _available(console, "images"):
            with open_backend(stores, roots=json.dumps({"pictures": str(pictures)})) as backend:
                rows.append({"stores": stores, **asdict(measure_images(backend, arguments.images))})
    _print(console, "a folder of small images, one worker", rows)
    return rows


def _queries(arguments: argparse.Namespace, console: Console) -> list[Row]:
    rows: list[Row] = []
    for stores in _available(console, "queries"):
        with (
            open_backend(stores) as backend,
            open_database(backend.settings.database) as database,
        ):
            population = populate(database, arguments.rows)
            of_stores = [
                {"stores": stores, "rows": arguments.rows, **asdict(figures)}
                for figures in measure_queries(database, population)
            ]
        _print(console, f"queries among {arguments.rows:,} faces, {stores}", of_stores)
        rows += of_stores
    return rows


def _available(console: Console, what: str) -> Iterable[str]:
    """Yield the backends that are installed on this machine; print the others as skipped."""
    for name in BACKENDS:
        try:
            with open_backend(name):
                pass
        except MissingServerError as error:
            console.print(f"{what} on {name}: skipped. {error}.")
            continue
        yield name


def _print(console: Console, title: str, rows: list[Row]) -> None:
    if not rows:
        return
    table = Table(*rows[0], title=title)
    for row in rows:
        table.add_row(
            *(f"{value:,.1f}" if isinstance(value, float) else str(value) for value in row.values())
        )
    console.print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-jobs", description=__doc__)
    parser.add_argument("subjects", nargs="*", help="clients overhead images queries; default: all")
    parser.add_argument("--rows", type=int, default=1_000_000, help="faces in the database")
    parser.add_argument("--images", type=int, default=2_000, help="images in the folder")
    parser.add_argument("--requests", type=int, default=1_000, help="submissions, and polls")
    parser.add_argument("--clip-seconds", type=int, default=60, help="length, a multiple of ten")
    parser.add_argument("--rounds", type=int, default=1, help="of overhead; medians are reported")
    return parser.parse_args()


if __name__ == "__main__":
    main()
