"""How many cores this process may use, and how many batches it looks at at once for that."""

from __future__ import annotations

import os
from pathlib import Path

# Each lane holds a batch of frames (22 MB at 720p), and past so many the sinks are what binds.
MAX_LANES = 16
# One keeps a GPU at work while the other waits for its answers. More of them stand in each other's
# way when they start kernels: on an H100 sixteen found faces in 35 frames a second, one in 330.
LANES_ON_GPU = 2
_CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(cgroup_limit: Path = _CGROUP_LIMIT) -> int:
    """Cores that this process may run on, at least one: of the machine, or of its container.

    Args:
        cgroup_limit: the file in which Linux tells a container's share: "200000 100000" are two
            cores, "max 100000" all of them.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = cgroup_limit.read_text(encoding="ascii").split()
        share = int(quota) // int(period)
    except (OSError, ValueError):
        share = cores or 1
    return max(1, min(cores or 1, share))


def lane_count(asked: int | None, *, processes: int, device: str) -> int:
    """Lanes for each of so many processes that share this machine's cores.

    Args:
        asked: what the setting says; None lets this function choose.
        processes: how many share the cores.
        device: where networks run: `cpu` or `cuda`.
    """
    if asked is not None:
        return asked
    most = LANES_ON_GPU if device == "cuda" else MAX_LANES
    return max(1, min(most, usable_cores() // processes))
