"""The peak memory use of this process."""

from __future__ import annotations

import resource
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_memory_bytes() -> int | None:
    """The process's peak resident memory, in bytes."""
    try:
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux, where `ru_maxrss` may be inherited from the parent process
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
