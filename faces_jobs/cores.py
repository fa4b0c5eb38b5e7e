"""How many cores this process may use, and how many batches it looks at at once for that."""

from __future__ import annotations

import os
from pathlib import Path

from faces_jobs.settings import Settings

# Each lane holds a batch of frames (22 MB at 720p), and past so many the sinks are what binds.
MOST_LANES = 16
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


def lanes_of(settings: Settings, *, processes: int) -> int:
    """Lanes for each of so many processes that share this machine's cores."""
    return settings.lanes or max(1, min(MOST_LANES, usable_cores() // processes))
