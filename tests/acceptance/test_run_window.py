"""The window of `faces-jobs run --show`, on a virtual screen."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from faces_jobs.cli import exits
from tests.acceptance.test_run import ENVIRONMENT, command, frame_count
from tests.services import TIMEOUT_SECONDS, missing_service


@dataclass(frozen=True, slots=True)
class Screen:
    """A virtual screen: its name, for DISPLAY, and its server process."""

    display: str
    server: subprocess.Popen[bytes]


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Screen]:
    """A virtual screen, from an X server that renders to memory."""
    if not (shutil.which("Xvfb") and shutil.which("xdotool")):
        missing_service("Xvfb and xdotool are not installed; the window can't be tested.")
    reader, writer = os.pipe()
    with (
        (tmp_path / "xvfb.log").open("wb") as log,
        subprocess.Popen(
            # By default it resets itself when its last client disconnects, as each xdotool does,
            # and refuses connections meanwhile.
            ["Xvfb", "-noreset", "-displayfd", str(writer), "-screen", "0", "1400x900x24"],
            pass_fds=[writer],
            stderr=log,
        ) as server,
    ):
        os.close(writer)
        with os.fdopen(reader) as pipe:
            display = pipe.readline().strip()
        yield Screen(f":{display}", server)
        server.terminate()


SHOW_WINDOW_WITH_BLOCKING_EXIT = """
import ctypes
import threading
import numpy as np
from faces_jobs.pipeline.values import Frame
from faces_jobs.sinks.window import Window

libc = ctypes.CDLL(None)
libc.on_exit(libc.pause, None)  # like a library whose threads do not end
with Window(delay_ms=1, stopped=threading.Event()) as window:
    print("open", flush=True)
    while True:
        window.add(Frame(0, 0.0, np.zeros((48, 64, 3), np.uint8)), [], analysed=True)
"""


def test_losing_the_screen_ends_the_process_even_if_exit_handlers_block(screen: Screen) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SHOW_WINDOW_WITH_BLOCKING_EXIT],
        env=environment_of(screen),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        screen.server.kill()
        try:
            assert process.wait(TIMEOUT_SECONDS) == 1
        finally:
            process.kill()


WINDOW = ("xdotool", "search", "--onlyvisible", "--name", "faces-jobs")
# What a window manager sends when the user clicks on the cross of a window, whose id is argv[1].
CLOSE_WINDOW = """
import ctypes, sys

class ClientMessage(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p), ("window", ctypes.c_ulong), ("message", ctypes.c_ulong),
        ("format", ctypes.c_int), ("data", ctypes.c_long * 5), ("union", ctypes.c_long * 24),
    ]

x = ctypes.CDLL("libX11.so.6")
x.XOpenDisplay.restype = ctypes.c_void_p
x.XInternAtom.restype = ctypes.c_ulong
display = ctypes.c_void_p(x.XOpenDisplay(None))
protocols = x.XInternAtom(display, b"WM_PROTOCOLS", 0)
delete = x.XInternAtom(display, b"WM_DELETE_WINDOW", 0)
window = ctypes.c_ulong(int(sys.argv[1]))
message = ClientMessage(33, 0, 1, display, window, protocols, 32, (ctypes.c_long * 5)(delete))
x.XSendEvent(display, window, 0, ctypes.c_long(0), ctypes.byref(message))
x.XSync(display, 0)
"""


@pytest.mark.parametrize(("delay", "way"), [("1", "q"), ("1", "close"), ("0", "close")])
def test_q_or_closing_the_window_stops_and_saves_the_recording(
    whole_clip: Path, tmp_path: Path, screen: Screen, delay: str, way: str
) -> None:
    arguments = ("--cam-num", whole_clip, "--outputs-path", tmp_path, "--show", "--delay", delay)
    with shown(arguments, screen) as process:
        if way == "q":
            xdotool(screen, *WINDOW[1:], "windowfocus", "key", "q")
        else:
            (window,) = xdotool(screen, *WINDOW[1:]).split()
            close = [sys.executable, "-c", CLOSE_WINDOW, window]
            subprocess.run(close, env=environment_of(screen), check=True)
        assert process.wait(TIMEOUT_SECONDS) == 0
    assert 0 < frame_count(tmp_path / "camera.annotated.mp4") < frame_count(whole_clip)


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_window_that_waits_for_a_key_does_not_hold_up_a_signal(
    whole_clip: Path,
    tmp_path: Path,
    screen: Screen,
    signal_number: signal.Signals,
    capfd: pytest.CaptureFixture[str],
) -> None:
    arguments = (whole_clip, "--outputs-path", tmp_path, "--show", "--delay", "0")
    with shown(arguments, screen) as process:
        process.send_signal(signal_number)
        assert process.wait(TIMEOUT_SECONDS) == exits.INTERRUPTED
    assert "QFontDatabase" not in capfd.readouterr().err  # a warning of Qt about its fonts


def environment_of(screen: Screen) -> dict[str, str]:
    return {**ENVIRONMENT, "DISPLAY": screen.display}


def xdotool(screen: Screen, *arguments: str) -> str:
    return subprocess.run(
        ["xdotool", *arguments],
        env=environment_of(screen),
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@contextmanager
def shown(arguments: Sequence[str | Path], screen: Screen) -> Iterator[subprocess.Popen[bytes]]:
    """Start `run` with these arguments, and wait for its window."""
    with subprocess.Popen(command(*arguments), env=environment_of(screen)) as process:
        try:
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while subprocess.run(
                WINDOW, env=environment_of(screen), capture_output=True, check=False
            ).returncode:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield process
        finally:
            process.kill()
