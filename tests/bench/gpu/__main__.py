"""Measures the pipeline on a GPU and on the CPU; failed parts are recorded and skipped."""

from __future__ import annotations

import json
import multiprocessing
import platform
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import Any, get_args

import click
import torch

from faces_jobs.cores import lanes_of, usable_cores
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.settings import DetectorName
from faces_jobs_models.catalog import Catalog, open_catalog
from faces_jobs_models.device import Device
from tests.bench.gpu.alone import compiled, eager_and_graph, networks, steps
from tests.bench.gpu.cells import FACES, SIZES, Clip, decode_alone, measure_cell
from tests.bench.gpu.codecs import nvdec, nvenc
from tests.bench.gpu.parity import parity
from tests.bench.gpu.processes import side_by_side
from tests.bench.gpu.table import markdown
from tests.bench.gpu.watch import Watch
from tests.bench.stages import MAX_PIXELS, KeptFaces

PARTS = ("cells", "lanes", "processes", "cpu", "steps", "networks", "codecs", "compile")
LANES = (1, 2, 4, 8)
PROCESSES = (2, 4, 8)
_TITLES = (
    *("cells", "processes", "decode alone", "parity", "codecs"),
    *("steps", "networks", "compiled", "seconds"),
)


@click.command()
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cuda", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for gpu.json.")
@click.option("--seconds", default=12.0, show_default=True, help="Length of the short clips.")
@click.option(
    "--most-seconds",
    "max_seconds",
    default=90.0,
    show_default=True,
    help="No part starts after this time.",
)
@click.option(
    "--detector",
    "detectors",
    type=click.Choice(get_args(DetectorName)),
    multiple=True,
    default=("own",),
    show_default=True,
)
@click.option(
    "--part",
    "parts",
    type=click.Choice(PARTS),
    multiple=True,
    default=PARTS[:-1],
    show_default=True,
)
def main(
    *,
    device: Device,
    out: Path,
    seconds: float,
    max_seconds: float,
    detectors: tuple[DetectorName, ...],
    parts: tuple[str, ...],
) -> None:
    """Measure, write the figures to gpu.json, and print a summary."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, Watch() as watch:
        bench = Bench(device, Path(name), out, seconds, time.perf_counter() + max_seconds, watch)
        bench.make_clips()
        if "codecs" in parts:
            bench.measure_codecs()
        for detector in detectors:
            bench.measure_detector(detector, parts)
    bench.save()
    click.echo(markdown(bench.results))


@dataclass(slots=True)
class Bench:
    """One run of the selected measurements, up to a deadline."""

    device: Device
    folder: Path
    out: Path
    seconds: float
    deadline: float  # of time.perf_counter()
    watch: Watch
    results: dict[str, Any] = field(
        default_factory=lambda: {"errors": {}, **{title: {} for title in _TITLES}}
    )

    def __post_init__(self) -> None:
        self.results["machine"] = _machine(self.device)

    def save(self) -> None:
        """Write the figures so far, so that they survive if the run is killed."""
        (self.out / "gpu.json").write_text(json.dumps(self.results, indent=1), encoding="utf-8")

    @property
    def clips(self) -> list[Clip]:
        """Every size with every number of faces, the most important first."""
        return [Clip(size, faces, self.seconds) for size, faces in product(SIZES, FACES)]

    def make_clips(self) -> None:
        """Make all clips in parallel, each in a process."""
        self._try("clips", self._make_clips)

    def _make_clips(self) -> None:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(len(self.clips), usable_cores()), context) as processes:
            list(processes.map(Clip.long, self.clips, [self.folder] * len(self.clips)))

    def measure_detector(self, detector: DetectorName, parts: Sequence[str]) -> None:
        """Measure the selected parts that depend on the detector."""
        kept = KeptFaces()
        clip = Clip("720p", 5, self.seconds)
        with open_catalog(device=self.device, detector=detector) as catalog:
            self._try(f"{detector}: warm up", lambda: self._warm_up(catalog))
            if "cells" in parts:
                self._measure_cells(catalog, detector, kept)
            if "cpu" in parts:
                self._measure_cpu(detector, clip, kept)
            if "steps" in parts:
                self._measure_steps(catalog, detector)
            if "networks" in parts:
                self._try("networks", lambda: self._measure_networks(catalog))
            if "lanes" in parts:
                self._measure_lanes(catalog, detector, clip)
            if "processes" in parts:
                self._measure_processes(detector, clip)
            if "compile" in parts and detector == "own":
                self._try("compile", lambda: self._measure_compiled(catalog))

    def measure_codecs(self) -> None:
        """Measure the hardware decoder and encoder of the GPU."""
        for clip in (Clip("720p", 5, self.seconds), Clip("1080p", 5, self.seconds)):
            path = clip.short(self.folder)
            self._record("decode alone", clip.size, partial(decode_alone, path))
            self._record("codecs", f"nvdec {clip.size}", partial(nvdec, path))
        self._record("codecs", "h264_nvenc", partial(nvenc, 1280, 720))

    def _measure_cells(self, catalog: Catalog, detector: DetectorName, kept: KeptFaces) -> None:
        for annotated, clip in product((False, True), self.clips):
            mode = "annotated" if annotated else "attributes"
            faces = kept if annotated and (clip.size, clip.faces) == ("720p", 5) else None
            path = clip.short(self.folder) if annotated else clip.long(self.folder)
            self._record(
                "cells",
                f"{detector}, {mode}, {clip.name}",
                partial(
                    measure_cell,
                    catalog,
                    path,
                    self.folder,
                    annotated=annotated,
                    lanes=_lanes(self.device),
                    watch=self.watch,
                    faces=faces,
                ),
            )

    def _measure_lanes(self, catalog: Catalog, detector: DetectorName, clip: Clip) -> None:
        path = clip.short(self.folder)
        for lanes in LANES:
            self._record(
                "cells",
                f"{detector}, {lanes} lanes, {clip.name}",
                partial(
                    measure_cell,
                    catalog,
                    path,
                    self.folder,
                    annotated=False,
                    lanes=lanes,
                    watch=self.watch,
                ),
            )

    def _measure_processes(self, detector: DetectorName, clip: Clip) -> None:
        for count in PROCESSES:
            measure = partial(
                side_by_side,
                count,
                clip.short(self.folder),
                device=self.device,
                detector=detector,
                lanes=_lanes(self.device),
            )
            self._record("processes", f"{detector}, {count} processes, {clip.name}", measure)

    def _measure_cpu(self, detector: DetectorName, clip: Clip, device_faces: KeptFaces) -> None:
        kept = KeptFaces()
        with open_catalog(device="cpu", detector=detector) as catalog:
            self._try(f"{detector}: warm up of the cpu", lambda: self._warm_up(catalog))
            for annotated in (False, True):
                mode = "annotated" if annotated else "attributes"
                faces = kept if annotated else None
                self._record(
                    "cells",
                    f"{detector}, cpu, {mode}, {clip.name}",
                    partial(
                        measure_cell,
                        catalog,
                        clip.short(self.folder),
                        self.folder,
                        annotated=annotated,
                        lanes=_lanes("cpu"),
                        faces=faces,
                    ),
                )
        self._record("parity", f"{detector}, {clip.name}", lambda: parity(kept, device_faces))

    def _measure_steps(self, catalog: Catalog, detector: DetectorName) -> None:
        for clip, count in product((self.clips[1], self.clips[5]), (3, 8)):
            self._record(
                "steps",
                f"{detector}, {clip.name}, {count} frames",
                partial(self._measure_batch_steps, catalog, clip, count),
            )

    def _measure_batch_steps(self, catalog: Catalog, clip: Clip, count: int) -> dict[str, object]:
        faces = KeptFaces()
        short = Clip(clip.size, clip.faces, min(1, self.seconds)).short(self.folder)
        measure_cell(catalog, short, self.folder, annotated=False, lanes=1, faces=faces)
        with open_frames(short, max_pixels=MAX_PIXELS) as reader:
            frames = list(islice(reader, count))
            return steps(catalog, frames, faces)

    def _measure_networks(self, catalog: Catalog) -> None:
        for name, network, inputs in networks(catalog):
            for batch in inputs:
                self._record(
                    "networks", f"{name} x {len(batch)}", partial(eager_and_graph, network, batch)
                )

    def _measure_compiled(self, catalog: Catalog) -> None:
        for name, network, inputs in networks(catalog):
            batch = inputs[2]
            self._record("compiled", f"{name} x {len(batch)}", partial(compiled, network, batch))

    def _warm_up(self, catalog: Catalog) -> None:
        for size in SIZES:
            clip = Clip(size, 5, min(1, self.seconds)).short(self.folder)
            measure_cell(catalog, clip, self.folder, annotated=False, lanes=_lanes(catalog.device))

    def _record(self, title: str, name: str, measure: Callable[[], object]) -> None:
        def work() -> None:
            self.results[title][name] = measure()

        self._try(f"{title}, {name}", work)

    def _try(self, name: str, work: Callable[[], object]) -> None:
        """Run it and record its duration, and its error instead of raising it."""
        started = time.perf_counter()
        if started > self.deadline:
            self.results["errors"][name] = "no time was left"
            return
        try:
            work()
        except Exception as error:  # noqa: BLE001 (one failed part must not end the run)
            self.results["errors"][name] = f"{type(error).__name__}: {error}"
            click.echo(f"{name} failed: {''.join(traceback.format_exception(error))}", err=True)
        self.results["seconds"][name] = round(time.perf_counter() - started, 2)
        self.save()


def _lanes(device: Device) -> int:
    return lanes_of(None, processes=1, device=device)


def _machine(device: Device) -> str:
    name = torch.cuda.get_device_name() if device == "cuda" else "no GPU"
    return (
        f"{name}, {usable_cores()} cores, torch {torch.__version__}, CUDA {torch.version.cuda}, "
        f"Python {platform.python_version()}"
    )


if __name__ == "__main__":
    main()
