"""How many frames and crops one run of a network takes: measured once a machine, and kept.

More in one run spare a GPU waiting, and make a CPU wait for memory where they leave its cache:
which is best depends on the machine. What comes out does not: on a CPU bit for bit.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

import numpy as np

from faces_jobs.cores import usable_cores
from faces_jobs.pipeline.stages import Classifier, Detector

FRAME_COUNTS: Mapping[str, Sequence[int]] = MappingProxyType(
    {"cpu": (1, 2, 4), "cuda": (1, 2, 4, 8, 16, 32)}
)
"""Device -> frames a run that are tried, in this order. Each takes a CPU 70 MB in CenterFace."""

CROP_COUNTS: Mapping[str, Sequence[int]] = MappingProxyType(
    {"cpu": (4, 8, 16, 32, 64), "cuda": (4, 8, 16, 32, 64, 128, 256)}
)
"""Device -> crops a run that are tried, in this order."""

_REPEATS = 3  # the quickest counts: others were disturbed
_HOPELESS = 1.25  # times the best: what is this slow is not tried again, nor anything larger
# Of the time of the best so far: a larger size has to be as quick, since it takes memory. A frame
# takes 70 MB in each lane, a crop one.
_FRAMES_WORTH = 0.9
_CROPS_WORTH = 0.97
_LONGEST_RUN = 0.3  # seconds: work that comes meanwhile waits for the end of a run
_FRAME = (360, 640, 3)

Stop = Callable[[], bool]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSizes:
    """Most frames and crops a run; None leaves it to the network's own default."""

    frames_a_run: int | None = None
    crops_a_run: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to a default."""
        return self.frames_a_run is not None and self.crops_a_run is not None

    def with_defaults(self, other: RunSizes) -> RunSizes:
        """These, and where they say nothing the other's."""
        return RunSizes(
            frames_a_run=self.frames_a_run or other.frames_a_run,
            crops_a_run=self.crops_a_run or other.crops_a_run,
        )


@dataclass(frozen=True, slots=True)
class RunTimes:
    """Seconds a frame, and seconds a crop, by how many were in a run."""

    frames: Mapping[int, float]
    crops: Mapping[int, float]

    @property
    def best(self) -> RunSizes:
        """What to run with."""
        return RunSizes(
            frames_a_run=best_run_size(self.frames, max_ratio=_FRAMES_WORTH),
            crops_a_run=best_run_size(self.crops, max_ratio=_CROPS_WORTH),
        )


class RunSizeCache:
    """What was measured, in a folder that machines of different kinds may share."""

    def __init__(self, folder: Path, *, networks: Sequence[str]) -> None:
        """What is measured is kept for this processor, so many cores of it, and these networks.

        Args:
            folder: made when something is kept.
            networks: whatever tells them and the device that they run on from others.
        """
        told = [version("faces-jobs"), _processor(), str(usable_cores()), *networks]
        key = hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
        self._path = folder / f"{key}.json"

    def read(self) -> RunSizes | None:
        """What was measured here before; None where nothing was, or it can't be read any more."""
        try:
            return RunSizes(**_positive(json.loads(self._path.read_text())))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, AttributeError) as error:
            _log.warning("%s is measured again: %s", self._path, error)
            return None

    def write(self, sizes: RunSizes) -> None:
        """Keep them. Where that fails the next process measures again."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=self._path.parent, prefix=".", delete=False
            ) as file:
                json.dump(asdict(sizes), file)
            Path(file.name).replace(self._path)
        except OSError as error:
            _log.warning("run sizes can't be kept in %s: %s", self._path, error)


def measure(
    detector: Detector, classifier: Classifier, *, device: str, stop: Stop
) -> RunTimes | None:
    """Run both with more and more at once, as long as that is not hopeless.

    Args:
        detector: runs all that it is given at once.
        classifier: likewise.
        device: where they run, `cpu` or `cuda`.
        stop: asked between two runs; None is returned where it says so.
    """
    chance = np.random.default_rng(1)
    frame = chance.integers(0, 256, _FRAME, np.uint8)
    crop = chance.integers(0, 256, (classifier.crop_size, classifier.crop_size, 3), np.uint8)
    frames = _measure(FRAME_COUNTS[device], lambda count: detector.detect([frame] * count), stop)
    crops = frames and _measure(
        CROP_COUNTS[device], lambda count: classifier.classify([crop] * count), stop
    )
    return RunTimes(frames, crops) if frames and crops else None


def best_run_size(seconds: Mapping[int, float], *, max_ratio: float) -> int:
    """The size that takes least for each; a larger one only where it spares enough.

    Args:
        seconds: for each frame or crop, by how many are in a run.
        max_ratio: the share of the best time so far that a larger size may take at most.
    """
    best = min(seconds)
    for size in sorted(seconds):
        if seconds[size] < seconds[best] * max_ratio:
            best = size
    return best


def _measure(
    sizes: Sequence[int], run: Callable[[int], object], stop: Stop
) -> Mapping[int, float] | None:
    seconds: dict[int, float] = {}
    for size in sizes:
        if seconds and size * min(seconds.values()) > _LONGEST_RUN:
            break
        quickest = float("inf")
        for attempt in range(_REPEATS + 1):
            if stop():
                return None
            started = time.perf_counter()
            run(size)
            if attempt:  # the first of a size makes room for it
                quickest = min(quickest, (time.perf_counter() - started) / size)
        seconds[size] = quickest
        if quickest > _HOPELESS * min(seconds.values()):
            break
    return seconds


def _positive(values: Mapping[str, object]) -> dict[str, int]:
    kept = {name: value for name, value in values.items() if isinstance(value, int) and value > 0}
    if kept.keys() != values.keys():
        raise ValueError(f"not a number of frames or crops: {dict(values)}")
    return kept


def _processor() -> str:
    # Linux tells the processor's name here alone.
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else f"{platform.machine()} {platform.processor()}"
