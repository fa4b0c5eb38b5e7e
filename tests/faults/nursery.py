"""Has all code loaded, and becomes a web, worker or sweep process each time that it is asked to.

Loading takes four times as long as a run of the job. Nothing is opened at import, so that what is
forked here is what would have been started, but for that time.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.faults.process import CODE, Request, play

LARGEST_REQUEST = 65536
# What such processes load when they first need it. Hundreds of them would each do it anew.
# (Not onnxruntime: a process that is forked after it was loaded aborts at its end.)
NEEDED_LATER = (
    "celery.apps.worker",
    "celery.backends.base",
    "celery.fixups.django",
    "gunicorn.workers.gthread",
    "kombu.transport.filesystem",
    "kombu.transport.redis",
    "onnx.compose",
    "psycopg",
    "scipy.optimize",
)


@dataclass(frozen=True, slots=True)
class _Born:
    """What a new process was given: its request, and the ends of its pipes."""

    request: Request
    tell: int
    hear: int
    log: int


def main() -> None:
    """Serve until whoever asks is gone; a process that is asked for goes on from here."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--control", type=int, required=True)
    control = socket.socket(fileno=parser.parse_args().control)
    for module in (*CODE.values(), *NEEDED_LATER):
        importlib.import_module(module)
    born = _serve(control)
    if born is not None:
        _begin(born)


def _serve(control: socket.socket) -> _Born | None:
    """Fork for each request, and tell of each end. In a new process: what it was given."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    codes: dict[int, int] = {}  # the pipe on which each process's exit code is told
    waiting = select.poll()
    waiting.register(control, select.POLLIN)
    waiting.register(woken, select.POLLIN)
    while True:
        ready = {number for number, _ in waiting.poll()}
        if woken in ready:
            os.read(woken, 4096)
            _tell_ends(codes)
        if control.fileno() not in ready:
            continue
        data, given, _, _ = socket.recv_fds(control, LARGEST_REQUEST, 4)
        if not data:
            _end_all(codes)
            return None
        tell, hear, code, log = given
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (woken, wake, code, *codes.values()):
                os.close(descriptor)
            control.close()
            return _Born(Request(**json.loads(data)), tell, hear, log)
        codes[pid] = code
        for descriptor in (tell, hear, log):
            os.close(descriptor)
        control.send(str(pid).encode())


def _tell_ends(codes: dict[int, int]) -> None:
    while codes:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        code = codes.pop(pid)
        with suppress(BrokenPipeError):  # nobody wants to know any more
            os.write(code, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(code)


def _end_all(codes: dict[int, int]) -> None:
    for pid in codes:
        os.killpg(pid, signal.SIGKILL)


def _begin(born: _Born) -> None:
    os.setsid()  # gunicorn's processes are struck together
    for target in (1, 2):
        os.dup2(born.log, target)
    os.close(born.log)
    os.environ.clear()  # noqa: TID251 (it is another process now)
    os.environ.update(born.request.environment)  # noqa: TID251 (likewise)
    if born.request.cgroup is not None:
        (Path(born.request.cgroup) / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
    sys.argv = ["faces-jobs", born.request.kind]
    play(born.request, tell=born.tell, hear=born.hear)


if __name__ == "__main__":
    main()
