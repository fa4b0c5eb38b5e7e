"""Measures several processes that share one GPU, each of which processes a clip."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory

from faces_jobs.settings import DetectorName
from faces_jobs_models.catalog import open_catalog
from faces_jobs_models.device import Device
from tests.bench.gpu.cells import measure_cell

_barrier: Barrier


def side_by_side(
    count: int, clip: Path, *, device: Device, detector: DetectorName, lanes: int
) -> dict[str, float]:
    """Total frames per second, from the moment all are warmed up until the last has finished."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(count)
    with ProcessPoolExecutor(count, context, initializer=_set_barrier, initargs=(barrier,)) as pool:
        arguments = [(clip, device, detector, lanes)] * count
        times = list(pool.map(_measure, arguments))
    figures = {}
    for kind in times[0]:
        frames, started, ended = zip(*(one[kind] for one in times), strict=True)
        figures[kind] = sum(frames) / (max(ended) - min(started))
    return figures


def _set_barrier(barrier: Barrier) -> None:
    global _barrier  # noqa: PLW0603 (processes of a pool can inherit a barrier only through their initializer)
    _barrier = barrier


def _measure(
    arguments: tuple[Path, Device, DetectorName, int],
) -> dict[str, tuple[int, float, float]]:
    """Frames, start and end (seconds since the epoch) of each kind of run."""
    clip, device, detector, lanes = arguments
    with open_catalog(device=device, detector=detector) as catalog, TemporaryDirectory() as name:
        folder = Path(name)
        measure_cell(catalog, clip, folder, annotated=False, lanes=lanes)
        times = {}
        for kind in ("attributes", "annotated"):
            _barrier.wait()
            started = time.time()
            figures = measure_cell(
                catalog, clip, folder, annotated=kind == "annotated", lanes=lanes
            )
            frames = figures["frames"]
            assert isinstance(frames, int)
            times[kind] = frames, started, time.time()
        return times
