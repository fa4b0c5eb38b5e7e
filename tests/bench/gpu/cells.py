"""Measures the whole pipeline on one clip: frames per second, waiting times, use of the GPU."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.values import RunReport
from faces_jobs_models.catalog import Catalog
from tests.bench.clips import RATE, portraits, repeated
from tests.bench.gpu.watch import Watch
from tests.bench.ours import run_clip
from tests.bench.stages import MAX_PIXELS, KeptFaces

SIZES: Mapping[str, tuple[int, int]] = {"720p": (1280, 720), "1080p": (1920, 1080)}
FACES = (1, 5, 20)
_BINDING_BUSY_SHARE = 0.75  # a thread at least this busy is the bottleneck
REPEATS = 4  # of the short clip, which a GPU would finish between two samples of its driver


@dataclass(frozen=True, slots=True)
class Clip:
    """A kind of clip: its size, the faces in each frame and the length of the short version."""

    size: str
    faces: int
    seconds: float

    @property
    def name(self) -> str:
        """Size and faces, as the tables show them."""
        return f"{self.size}, {self.faces} faces"

    @property
    def frames(self) -> int:
        """The number of frames of the short clip."""
        return round(self.seconds * RATE)

    def short(self, folder: Path) -> Path:
        """The path of the short clip, which is made if it does not exist."""
        width, height = SIZES[self.size]
        rows = 2 if self.faces >= 10 else 1
        return portraits(
            folder, faces=self.faces, width=width, height=height, seconds=self.seconds, rows=rows
        )

    def long(self, folder: Path) -> Path:
        """The path of a clip that repeats the short one."""
        return repeated(self.short(folder), REPEATS, folder)


def measure_cell(
    catalog: Catalog,
    clip: Path,
    folder: Path,
    *,
    annotated: bool,
    lanes: int,
    watch: Watch | None = None,
    faces: KeptFaces | None = None,
) -> dict[str, object]:
    """Measure one run. The networks must be loaded and warmed up already."""
    on_gpu = catalog.device == "cuda"
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    report = run_clip(
        catalog,
        clip,
        folder,
        annotated=annotated,
        lanes=lanes,
        extra_sinks=[] if faces is None else [faces],
    )
    seconds = time.perf_counter() - started
    figures: dict[str, object] = {
        "frames": report.frames_read,
        "seconds": seconds,
        "frames_a_second": report.frames_read / seconds,
        "faces_a_frame": report.faces / report.frames_read,
        "tracks": report.tracks,
        "lanes": lanes,
        "stage_seconds": dict(report.stage_seconds),
        "waiting_seconds": dict(report.waiting_seconds),
        "busy": busy_shares(report, seconds, lanes),
        "binds": what_binds(report, seconds, lanes),
    }
    if on_gpu:
        figures["torch_mb_most"] = torch.cuda.max_memory_reserved() / 2**20
        figures["torch_mb_allocated_most"] = torch.cuda.max_memory_allocated() / 2**20
    if watch is not None:
        figures["watched"] = watch.since(started)
    return figures


def busy_shares(report: RunReport, seconds: float, lanes: int) -> dict[str, float]:
    """The share of time in which the lanes, and the thread of the sinks, did not wait."""
    threads = {"lanes": lanes, "sinks": 1}
    return {
        name: 1 - report.waiting_seconds.get(name, 0.0) / (count * seconds)
        for name, count in threads.items()
    }


def what_binds(report: RunReport, seconds: float, lanes: int) -> str:
    """The bottleneck: the busiest of lanes and sinks, or decoding if both waited much.

    For lanes, their longest stage is named. Decoding is inferred since its thread finishes before
    the others, so that its own waiting time says little.
    """
    busy = busy_shares(report, seconds, lanes)
    binding = max(busy, key=lambda name: busy[name])
    if busy[binding] < _BINDING_BUSY_SHARE:
        return "decode"
    if binding == "sinks":
        return "sinks"
    stages = {
        name: stage_seconds
        for name, stage_seconds in report.stage_seconds.items()
        if name in {"detect", "crop", "classify", "track"}
    }
    return f"lanes: {max(stages, key=lambda name: stages[name], default='')}"


def decode_alone(clip: Path) -> dict[str, float]:
    """Frames per second of one thread that decodes, without and with conversion to pictures."""
    figures = {}
    for name, with_picture in (("decoded", False), ("decoded, as pictures", True)):
        started = time.perf_counter()
        count = 0
        with open_frames(clip, max_pixels=MAX_PIXELS) as reader:
            for frame in reader:
                if with_picture:
                    _ = frame.picture_bgr
                count += 1
        figures[name] = count / (time.perf_counter() - started)
    return figures
