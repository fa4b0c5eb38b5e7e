"""What this machine allows a test: limiting a process's memory, mounting a disk."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MAY_MOUNT = 21  # CAP_SYS_ADMIN
# A worker needs 400 MB.
MEMORY_BYTES = 800 * 1024 * 1024


def memory_is_boundable() -> bool:
    """Whether a control group with a memory limit can be created."""
    home = _memory_home()
    return home is not None and os.access(home, os.W_OK) and os.geteuid() == 0


@contextmanager
def bounded_memory() -> Iterator[Path]:
    """A control group whose processes the kernel kills when they exceed its limit."""
    home = _memory_home()
    assert home is not None
    group = home / f"faces-jobs-{uuid.uuid4().hex[:8]}"
    group.mkdir()
    try:
        limit = "memory.max" if (group / "memory.max").exists() else "memory.limit_in_bytes"
        (group / limit).write_text(str(MEMORY_BYTES), encoding="ascii")
        swap = group / "memory.swap.max"
        if swap.exists():
            swap.write_text("0", encoding="ascii")
        yield group
    finally:
        _remove(group)


def disk_is_mountable() -> bool:
    """Whether this process may mount a small disk."""
    if os.geteuid() != 0:
        return False
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return bool(int(value, 16) >> MAY_MOUNT & 1)
    return False


def _memory_home() -> Path | None:
    controllers = CGROUPS / "cgroup.subtree_control"
    if controllers.exists() and "memory" in controllers.read_text(encoding="ascii").split():
        return CGROUPS
    first = CGROUPS / "memory"  # version 1
    return first if first.is_dir() else None


def _remove(group: Path) -> None:
    for _ in range(50):  # a killed process leaves it a moment later
        try:
            group.rmdir()
        except OSError:
            time.sleep(0.1)
        else:
            return
