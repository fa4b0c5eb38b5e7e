"""Samples the load of the GPU with nvidia-smi."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from typing import Self

_COMMAND = (
    "nvidia-smi",
    "--query-gpu=utilization.gpu,utilization.memory,memory.used",
    "--format=csv,noheader,nounits",
    "-lms",
    "50",
)


class Watch:
    """Samples the GPU's load from a separate process, so that it takes no time from this one."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, tuple[float, ...]]] = []
        self._process: subprocess.Popen[str] | None = None
        if shutil.which(_COMMAND[0]):
            self._process = subprocess.Popen(_COMMAND, stdout=subprocess.PIPE, text=True)
            self._reading = threading.Thread(target=self._read, daemon=True)
            self._reading.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._reading.join()

    def since(self, started: float) -> dict[str, float]:
        """Summarise the samples since a `time.perf_counter()`: per cent, and MB in use."""
        samples = [values for at, values in self._samples if at >= started]
        if not samples:
            return {}
        busy, memory_busy, memory = zip(*samples, strict=True)
        return {
            "samples": len(samples),
            "gpu_busy_percent": sum(busy) / len(busy),
            "gpu_busy_percent_most": max(busy),
            "memory_busy_percent": sum(memory_busy) / len(memory_busy),
            "memory_used_mb_most": max(memory),
        }

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                values = tuple(float(part) for part in line.split(","))
            except ValueError:
                continue  # "[N/A]", or an error message
            if len(values) == 3:
                self._samples.append((time.perf_counter(), values))
