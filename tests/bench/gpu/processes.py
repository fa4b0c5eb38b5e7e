"""Several worker processes that share one GPU, each at work on a clip of its own."""

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
    """Frames a second of all together, from when the last is warm until the last is done."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(count)
    with ProcessPoolExecutor(count, context, initializer=_keep, initargs=(barrier,)) as pool:
        given = [(clip, device, detector, lanes)] * count
        times = list(pool.map(_work, given))
    figures = {}
    for kind in times[0]:
        frames, begun, ended = zip(*(one[kind] for one in times), strict=True)
        figures[kind] = sum(frames) / (max(ended) - min(begun))
    return figures


def _keep(barrier: Barrier) -> None:
    global _barrier  # noqa: PLW0603 (a pool's processes inherit a barrier only so)
    _barrier = barrier


def _work(given: tuple[Path, Device, DetectorName, int]) -> dict[str, tuple[int, float, float]]:
    clip, device, detector, lanes = given
    with open_catalog(device=device, detector=detector) as catalog, TemporaryDirectory() as name:
        folder = Path(name)
        measure_cell(catalog, clip, folder, annotated=False, lanes=lanes)
        times = {}
        for kind in ("attributes", "annotated"):
            _barrier.wait()
            begun = time.time()
            done = measure_cell(catalog, clip, folder, annotated=kind == "annotated", lanes=lanes)
            frames = done["frames"]
            assert isinstance(frames, int)
            times[kind] = frames, begun, time.time()
        return times
