"""Measures and stores the best number of frames and crops per run of a network on this machine.

Larger runs keep a GPU busy, but slow a CPU down once they no longer fit its cache. The results do
not depend on the size; on a CPU they are bit-identical.
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
from faces_jobs.pipeline.protocols import Classifier, Detector

FRAME_COUNTS: Mapping[str, Sequence[int]] = MappingProxyType(
    {"cpu": (1, 2, 4), "cuda": (1, 2, 4, 8, 16, 32)}
)
"""Device -> frames a run to try, in this order. On a CPU CenterFace takes 70 MB for each frame."""

CROP_COUNTS: Mapping[str, Sequence[int]] = MappingProxyType(
    {"cpu": (4, 8, 16, 32, 64), "cuda": (4, 8, 16, 32, 64, 128, 256)}
)
"""Device -> crops a run to try, in this order."""

_REPEATS = 3  # the fastest counts: other load on the machine only makes runs slower
_GIVE_UP_RATIO = 1.25  # times the best so far: if a size is slower, no larger one is tried
# Times the best so far: a larger size must be at least this much faster, since it takes more
# memory, for a frame 70 MB in each lane, for a crop 1 MB.
_FRAMES_MAX_RATIO = 0.9
_CROPS_MAX_RATIO = 0.97
_MAX_RUN_SECONDS = 0.3  # a segment that arrives meanwhile waits for the end of the run
_FRAME_SHAPE = (360, 640, 3)

Stop = Callable[[], bool]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSizes:
    """Maximum number of frames and crops per run; None is the network's own default."""

    frames_a_run: int | None = None
    crops_a_run: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether both are set."""
        return self.frames_a_run is not None and self.crops_a_run is not None

    def with_defaults(self, other: RunSizes) -> RunSizes:
        """Return these, with None replaced by the value in `other`."""
        return RunSizes(
            frames_a_run=self.frames_a_run or other.frames_a_run,
            crops_a_run=self.crops_a_run or other.crops_a_run,
        )


@dataclass(frozen=True, slots=True)
class RunTimes:
    """Measured seconds per frame and per crop, by run size."""

    frames: Mapping[int, float]
    crops: Mapping[int, float]

    @property
    def best(self) -> RunSizes:
        """The run sizes to use."""
        return RunSizes(
            frames_a_run=best_run_size(self.frames, max_ratio=_FRAMES_MAX_RATIO),
            crops_a_run=best_run_size(self.crops, max_ratio=_CROPS_MAX_RATIO),
        )


class RunSizeCache:
    """Stores measured run sizes in a folder that different machines may share."""

    def __init__(self, folder: Path, *, networks: Sequence[str]) -> None:
        """The key is the version, the processor, the number of usable cores, and `networks`.

        Args:
            folder: created when something is stored.
            networks: strings that identify the networks and the device that they run on.
        """
        key_parts = [version("faces-jobs"), _processor(), str(usable_cores()), *networks]
        key = hashlib.sha256("\n".join(key_parts).encode()).hexdigest()[:16]
        self._path = folder / f"{key}.json"

    def read(self) -> RunSizes | None:
        """Return the stored run sizes; None if there are none, or the file is invalid."""
        try:
            return RunSizes(**_positive(json.loads(self._path.read_text())))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, AttributeError) as error:
            _log.warning("the run sizes in %s are ignored: %s", self._path, error)
            return None

    def write(self, sizes: RunSizes) -> None:
        """Store run sizes. If that fails, the next process measures again."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=self._path.parent, prefix=".", delete=False
            ) as file:
                json.dump(asdict(sizes), file)
            Path(file.name).replace(self._path)
        except OSError as error:
            _log.warning("run sizes can't be stored in %s: %s", self._path, error)


def measure(
    detector: Detector, classifier: Classifier, *, device: str, stop: Stop
) -> RunTimes | None:
    """Time both networks with growing run sizes, until larger ones are clearly slower.

    Args:
        detector: must not split the largest of `FRAME_COUNTS` into several runs.
        classifier: must not split the largest of `CROP_COUNTS` into several runs.
        device: where they run, `cpu` or `cuda`.
        stop: called before each run.

    Returns:
        None if `stop` returned True.
    """
    rng = np.random.default_rng(1)
    frame = rng.integers(0, 256, _FRAME_SHAPE, np.uint8)
    crop = rng.integers(0, 256, (classifier.crop_size, classifier.crop_size, 3), np.uint8)
    frames = _measure(FRAME_COUNTS[device], lambda count: detector.detect([frame] * count), stop)
    crops = frames and _measure(
        CROP_COUNTS[device], lambda count: classifier.classify([crop] * count), stop
    )
    return RunTimes(frames, crops) if frames and crops else None


def best_run_size(seconds: Mapping[int, float], *, max_ratio: float) -> int:
    """Return the fastest size, preferring a smaller one that is nearly as fast.

    Args:
        seconds: per frame or crop, by run size.
        max_ratio: a larger size must take less than this share of the best time so far.
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
        if seconds and size * min(seconds.values()) > _MAX_RUN_SECONDS:
            break
        fastest = float("inf")
        for attempt in range(_REPEATS + 1):
            if stop():
                return None
            started = time.perf_counter()
            run(size)
            if attempt:  # the first run of a size allocates its memory
                fastest = min(fastest, (time.perf_counter() - started) / size)
        seconds[size] = fastest
        if fastest > _GIVE_UP_RATIO * min(seconds.values()):
            break
    return seconds


def _positive(values: Mapping[str, object]) -> dict[str, int]:
    valid = {name: value for name, value in values.items() if isinstance(value, int) and value > 0}
    if valid.keys() != values.keys():
        raise ValueError(f"not numbers of frames and crops: {dict(values)}")
    return valid


def _processor() -> str:
    # On Linux `platform` does not know the processor's name.
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else f"{platform.machine()} {platform.processor()}"
