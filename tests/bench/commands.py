"""Runs and measures whole commands: `faces-jobs run`, also under a profiler, and `deface`."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

# By default the title is the whole command, with this machine's paths.
_TITLE = re.compile(r'(<text id="title"[^>]*>)[^<]*(</text>)')
# Boxes below 0.3 % of the time are too narrow to be read, but make up most of the file.
_SLIVER = re.compile(r"<g><title>[^<]*, 0\.[0-2]\d%\)</title>.*?</g>")


def run_seconds(clip: Path, folder: Path, detector: str) -> float:
    """Return the seconds of `faces-jobs run` with an annotated copy, including process start."""
    arguments = ["--inputs-path", str(clip), "--outputs-path", str(folder / "out")]
    command = [sys.executable, "-m", "faces_jobs", "run", "--detector", detector, *arguments]
    return _seconds(command)


def deface_seconds(clip: Path, folder: Path) -> float | None:
    """Return the seconds of `deface`, which detects and blurs faces; None if not installed."""
    command = _installed("deface")
    if command is None:
        return None
    return _seconds([command, str(clip), "--output", str(folder / "deface.mp4")])


def peak_mb(clip: Path, folder: Path) -> float:
    """Return the peak resident memory of `faces-jobs run` with an annotated copy, in MiB."""
    # A process inherits its parent's peak, so a small process starts it and reads the peak.
    arguments = ["--inputs-path", str(clip), "--outputs-path", str(folder / "out")]
    command = [sys.executable, "-m", "faces_jobs", "run", *arguments, "--frame-stride", "5"]
    script = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stderr=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, *command], check=True, capture_output=True, text=True
    )
    return round(int(result.stdout) / 1024, 1)


def draw_flames(clip: Path, folder: Path, picture: Path) -> bool:
    """Draw a flame graph of all threads of `faces-jobs run`; False if py-spy is not installed."""
    command = _installed("py-spy")
    if command is None:
        return False
    arguments = ["run", "--inputs-path", str(clip), "--outputs-path", str(folder / "flames")]
    options = ["--format", "flamegraph", "--threads", "--function", "--output", str(picture)]
    _seconds([command, "record", *options, "--", sys.executable, "-m", "faces_jobs", *arguments])
    drawn = picture.read_text(encoding="utf-8")
    titled = _TITLE.sub(r"\1faces-jobs run, samples by thread\2", drawn)
    picture.write_text(_SLIVER.sub("", titled), encoding="utf-8")
    return True


def _installed(program: str) -> str | None:
    beside = shutil.which(program, path=str(Path(sys.executable).parent))
    return beside or shutil.which(program)


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started
