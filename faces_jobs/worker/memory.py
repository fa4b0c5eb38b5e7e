"""How much memory this process has used at the most."""

from __future__ import annotations

import resource
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_memory_bytes() -> int | None:
    """The peak of the process's resident memory, in bytes."""
    try:
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # no Linux: there the next answer is right, where here it may be the parent's
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
