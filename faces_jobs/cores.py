"""How many cores this process may use, and how many batches of frames it analyses at once."""

from __future__ import annotations

import os
from pathlib import Path

# Each lane holds a batch of frames (22 MB at 720p); with more, the sinks are the bottleneck.
MAX_LANES = 16
# One keeps the GPU busy while the other waits for its results. More lanes contend for kernel
# launches: on an H100, sixteen lanes processed 35 frames a second, one lane 330.
LANES_ON_GPU = 2
_CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(cgroup_limit: Path = _CGROUP_LIMIT) -> int:
    """The number of cores of the machine or container that this process may use, at least one.

    Args:
        cgroup_limit: the file with a container's CPU limit on Linux: "200000 100000" means two
            cores, "max 100000" all of them.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = cgroup_limit.read_text(encoding="ascii").split()
        share = int(quota) // int(period)
    except (OSError, ValueError):
        share = cores or 1
    return max(1, min(cores or 1, share))


def lane_count(configured: int | None, *, processes: int, device: str) -> int:
    """The number of lanes for each process.

    Args:
        configured: the setting's value; None lets this function choose.
        processes: how many processes share the machine's cores.
        device: where networks run: `cpu` or `cuda`.
    """
    if configured is not None:
        return configured
    limit = LANES_ON_GPU if device == "cuda" else MAX_LANES
    return max(1, min(limit, usable_cores() // processes))
