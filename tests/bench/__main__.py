"""Measures decode, every stage and the whole pipeline on a 720p clip, and memory by length."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from faces_jobs.jobs.records import TrackRecord
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.run import run_item
from faces_jobs.pipeline.stages import Sink
from faces_jobs.pipeline.tracking import OverlapTracker
from faces_jobs.pipeline.values import Face, Frame, RunReport
from faces_jobs.settings import Settings
from faces_jobs.sinks.annotated import open_annotated
from faces_jobs.sinks.spool import FaceSpool
from faces_jobs.sinks.thumbnails import Thumbnails
from faces_jobs_models.catalog import Catalog, open_catalog
from tests.bench.clips import repeated, sample_720p, shrunk_to_360p

OUTPUT = Path("var/bench/bench.json")
LONG_TIMES = 60  # ten seconds, sixty times
ROUNDS = 3  # the fastest counts: what other programs took away is not ours
SINKS = {"FaceSpool": "spool faces", "Thumbnails": "thumbnails"}


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    what: str
    frames_per_second: float
    ms_per_frame: float


def main() -> None:
    """Measure, print and keep the figures."""
    console = Console()
    with tempfile.TemporaryDirectory() as name, open_catalog(device="cpu") as catalog:
        folder = Path(name)
        clip = sample_720p(folder)
        decode = _decode_alone(clip)
        encode = _encode_alone(catalog, clip, folder)
        plain, plain_seconds = _fastest(catalog, clip, folder, annotated=False)
        annotated, annotated_seconds = _fastest(catalog, clip, folder, annotated=True)
        figures = [
            _figure("decode alone", annotated.frames_read, decode),
            *_stages(plain),
            _figure("draw and encode alone", annotated.frames_read, encode),
            _figure("whole pipeline, attributes only", plain.frames_read, plain_seconds),
            _figure(
                "whole pipeline, with annotated video", annotated.frames_read, annotated_seconds
            ),
        ]
        memory = _memory(folder, clip)
    machine = _machine()
    _print(console, machine, annotated, figures, memory)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    result = {
        "machine": machine,
        "clip": "1280x720, 250 frames, 1.3 faces a frame",
        "frames_per_second": {one.what: round(one.frames_per_second, 1) for one in figures},
        "peak_memory_mb": memory,
        "ratios": {"memory_long_to_short": round(memory["10 min"] / memory["10 s"], 3)},
    }
    OUTPUT.write_text(json.dumps(result, indent=2) + "\n")
    console.print(f"Kept in {OUTPUT}", highlight=False)


def _decode_alone(clip: Path) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        with open_frames(clip, max_pixels=10**8) as reader:
            for _frame in reader:
                pass
        best = min(best, time.perf_counter() - started)
    return best


class _Faces:
    """A sink that keeps every frame's faces."""

    def __init__(self) -> None:
        self.by_frame: dict[int, Sequence[Face]] = {}

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:  # noqa: ARG002 (a sink's signature)
        self.by_frame[frame.index] = faces

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        """Nothing is left to do."""


def _encode_alone(catalog: Catalog, clip: Path, folder: Path) -> float:
    """Seconds of the annotated copy with nothing else going on: its thread has the time to wait."""
    faces = _Faces()
    _run_with(catalog, clip, [faces], annotated=False)
    best = float("inf")
    for _ in range(ROUNDS):
        with open_frames(clip, max_pixels=10**8) as reader:
            frames = list(reader)
            started = time.perf_counter()
            with open_annotated(folder / "alone", reader.info, clip) as sink:
                for frame in frames:
                    sink.add(frame, faces.by_frame[frame.index], analysed=True)
                sink.finish([])
            best = min(best, time.perf_counter() - started)
    return best


def _fastest(
    catalog: Catalog, clip: Path, folder: Path, *, annotated: bool
) -> tuple[RunReport, float]:
    runs = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        report = _run(catalog, clip, folder, annotated=annotated)
        runs.append((time.perf_counter() - started, report))
    seconds, report = min(runs, key=lambda run: run[0])
    return report, seconds


def _run(catalog: Catalog, clip: Path, folder: Path, *, annotated: bool) -> RunReport:
    with (
        FaceSpool(folder / "faces") as spool,
        Thumbnails(folder) as thumbnails,
    ):
        if not annotated:
            return _run_with(catalog, clip, [spool, thumbnails], annotated=False)
        with open_frames(clip, max_pixels=10**8) as reader:
            info = reader.info
        with open_annotated(folder / "annotated", info, clip) as copy:
            return _run_with(catalog, clip, [spool, thumbnails, copy], annotated=True)


def _run_with(catalog: Catalog, clip: Path, sinks: Sequence[Sink], *, annotated: bool) -> RunReport:
    spec = JobSpec(annotated=annotated)
    with open_frames(clip, max_pixels=10**8) as reader:
        return run_item(
            reader,
            detector=catalog.detector(),
            tracker=OverlapTracker(),
            classifiers=catalog.classifiers(spec.models),
            spec=spec,
            sinks=sinks,
            batch_size=Settings().batch_size,
            on_progress=lambda _done, _total: None,
        )


def _stages(report: RunReport) -> list[Figure]:
    return [
        _figure(SINKS.get(stage, stage), report.frames_read, seconds)
        for stage, seconds in report.stage_seconds.items()
    ]


def _figure(what: str, frames: int, seconds: float) -> Figure:
    return Figure(what, frames / seconds, seconds / frames * 1000)


def _memory(folder: Path, clip: Path) -> dict[str, float]:
    """Peak resident MB of `faces-jobs run` on ten seconds and on ten minutes of the same."""
    short = shrunk_to_360p(clip, folder)
    long = repeated(short, LONG_TIMES, folder)
    return {"10 s": _peak_mb(short, folder), "10 min": _peak_mb(long, folder)}


def _peak_mb(clip: Path, folder: Path) -> float:
    # A process inherits the peak of the one that started it: so a small one starts it, and asks.
    arguments = ["--inputs-path", str(clip), "--outputs-path", str(folder / "out")]
    command = [sys.executable, "-m", "faces_jobs", "run", *arguments, "--frame-stride", "5"]
    asked = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stderr=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    told = subprocess.run(
        [sys.executable, "-c", asked, *command], check=True, capture_output=True, text=True
    )
    return round(int(told.stdout) / 1024, 1)


def _machine() -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0].partition(":")[2].strip() if names else model
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    )


def _print(
    console: Console,
    machine: str,
    report: RunReport,
    figures: list[Figure],
    memory: dict[str, float],
) -> None:
    console.print(f"{machine}; one process, one thread a network", highlight=False)
    console.print(
        f"clip: 1280x720, {report.frames_read} frames, {report.faces} faces", highlight=False
    )
    table = Table("what", "frames/s", "ms a frame")
    for one in figures:
        table.add_row(one.what, f"{one.frames_per_second:.1f}", f"{one.ms_per_frame:.2f}")
    console.print(table)
    for length, peak in memory.items():
        console.print(f"peak memory, {length} at 360p: {peak} MB", highlight=False)


if __name__ == "__main__":
    main()
