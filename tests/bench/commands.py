"""Measures whole commands: `faces-jobs run`, the other tool `deface`, and ours in a profiler."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

# py-spy's default title is the whole command, with paths of this machine.
_TITLE = re.compile(r'(<text id="title"[^>]*>)[^<]*(</text>)')
# Functions with less than 0.3 % of the time: too narrow to read, but most of the file.
_SLIVER = re.compile(r"<g><title>[^<]*, 0\.[0-2]\d%\)</title>.*?</g>")


def run_seconds(clip: Path, folder: Path, detector: str) -> float:
    """Seconds of `faces-jobs run` with an annotated copy, including the start of the process."""
    arguments = ["--inputs-path", str(clip), "--outputs-path", str(folder / "out")]
    command = [sys.executable, "-m", "faces_jobs", "run", "--detector", detector, *arguments]
    return _seconds(command)


def deface_seconds(clip: Path, folder: Path) -> float | None:
    """Seconds of `deface`, which finds faces and blurs them; None if it is not installed."""
    command = _installed("deface")
    if command is None:
        return None
    return _seconds([command, str(clip), "--output", str(folder / "deface.mp4")])


def peak_mb(clip: Path, folder: Path) -> float:
    """Peak resident memory of `faces-jobs run` with an annotated copy, in MB of 2**20 bytes."""
    # A process inherits the peak of its parent, so a small process starts it and reads the peak.
    arguments = ["--inputs-path", str(clip), "--outputs-path", str(folder / "out")]
    command = [sys.executable, "-m", "faces_jobs", "run", *arguments, "--frame-stride", "5"]
    script = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stderr=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command], check=True, capture_output=True, text=True
    )
    return round(int(done.stdout) / 1024, 1)


def draw_flames(clip: Path, folder: Path, picture: Path) -> bool:
    """Draw a flame graph of all threads of `faces-jobs run`.

    Returns:
        False if py-spy is not installed.
    """
    command = _installed("py-spy")
    if command is None:
        return False
    arguments = ["run", "--inputs-path", str(clip), "--outputs-path", str(folder / "flames")]
    options = ["--format", "flamegraph", "--threads", "--function", "--output", str(picture)]
    _seconds([command, "record", *options, "--", sys.executable, "-m", "faces_jobs", *arguments])
    svg = picture.read_text(encoding="utf-8")
    titled = _TITLE.sub(r"\1faces-jobs run, samples by thread\2", svg)
    picture.write_text(_SLIVER.sub("", titled), encoding="utf-8")
    return True


def _installed(program: str) -> str | None:
    in_environment = shutil.which(program, path=str(Path(sys.executable).parent))
    return in_environment or shutil.which(program)


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started
