"""Measures the job engine: concurrent clients, overhead of jobs, a folder of images, queries."""

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
UNCUT_SEGMENT_SECONDS = "100000"  # longer than any clip, so that none is cut

Row = dict[str, Any]


def main() -> None:
    """Measure the selected subjects, print the figures and add them to those stored before."""
    options = _parse_arguments()
    console = Console(width=120, highlight=False)
    machine = {
        "machine": f"{os.cpu_count()} cores, {sys.platform}, Python {sys.version.split()[0]}",
        "load_before": round(os.getloadavg()[0], 1),
    }
    console.print(f"{machine['machine']}; load before: {machine['load_before']}")
    results: dict[str, Any] = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {}
    subjects: dict[str, Callable[[argparse.Namespace, Console], list[Row]]] = {
        "clients": _clients,
        "overhead": _overhead,
        "images": _images,
        "queries": _queries,
    }
    for subject in options.subjects or subjects:
        rows = subjects[subject](options, console)
        results[subject] = {**machine, "figures": rows}
        OUTPUT.parent.mkdir(parents=True, exist_ok=True)
        OUTPUT.write_text(json.dumps(results, indent=2) + "\n")
    console.print(f"Written to {OUTPUT}")


def _clients(options: argparse.Namespace, console: Console) -> list[Row]:
    rows = []
    for name in _available(console, f"{CLIENTS} clients"):
        with open_backend(name) as backend:
            submitted, polled = measure_clients(
                backend, submissions=options.requests, polls=options.requests
            )
        for what, figures in (("submit", submitted), ("poll", polled)):
            rows.append({"stores": name, "what": what, **asdict(figures)})
    _print(console, f"{CLIENTS} clients at once", rows)
    return rows


def _overhead(options: argparse.Namespace, console: Console) -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        clip = repeated(sample_720p(folder), options.clip_seconds // 10, folder)
        cut = stack.enter_context(open_backend(SQLITE))
        uncut = stack.enter_context(open_backend(SQLITE, segment_seconds=UNCUT_SEGMENT_SECONDS))
        for annotated in (False, True):
            found = measure_overhead(
                cut, uncut, clip, folder, annotated=annotated, rounds=options.rounds
            )
            rows += [asdict(figures) for figures in found]
    _print(console, f"a clip of {options.clip_seconds} s: the job against `faces-jobs run`", rows)
    return rows


def _images(options: argparse.Namespace, console: Console) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory() as name:
        pictures = Path(name) / "pictures"
        write_images(pictures, options.images)
        for stores in _available(console, "images"):
            with open_backend(stores, roots=json.dumps({"pictures": str(pictures)})) as backend:
                rows.append({"stores": stores, **asdict(measure_images(backend, options.images))})
    _print(console, "a folder of small images, one worker", rows)
    return rows


def _queries(options: argparse.Namespace, console: Console) -> list[Row]:
    rows: list[Row] = []
    for stores in _available(console, "queries"):
        with (
            open_backend(stores) as backend,
            open_database(backend.settings.database) as database,
        ):
            population = populate(database, options.rows)
            found = [
                {"stores": stores, "rows": options.rows, **asdict(figures)}
                for figures in measure_queries(database, population)
            ]
        _print(console, f"queries among {options.rows:,} faces, {stores}", found)
        rows += found
    return rows


def _available(console: Console, subject: str) -> Iterable[str]:
    """Yield the backends that can be opened on this machine; print why others are skipped."""
    for name in BACKENDS:
        try:
            with open_backend(name):
                pass
        except MissingServerError as error:
            console.print(f"{subject} on {name}: skipped. {error}.")
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


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-jobs", description=__doc__)
    parser.add_argument(
        "subjects", nargs="*", help="clients, overhead, images, queries; default: all"
    )
    parser.add_argument(
        "--rows", type=int, default=1_000_000, help="number of faces in the database"
    )
    parser.add_argument("--images", type=int, default=2_000, help="number of images in the folder")
    parser.add_argument(
        "--requests", type=int, default=1_000, help="number of submissions, and of polls"
    )
    parser.add_argument(
        "--clip-seconds", type=int, default=60, help="length of the clip, a multiple of ten"
    )
    parser.add_argument(
        "--rounds", type=int, default=1, help="rounds with the clip, of which the median counts"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
