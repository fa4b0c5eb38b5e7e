"""A fork server: has all code loaded, and forks a web, worker or sweep process on request.

Loading takes four times as long as a run of the job. Nothing is opened at import, so a forked
process equals one that was started, except for the time.
"""

from __future__ import annotations

import argparse
import gc
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

from tests.faults.child import CODE, Request, play

LARGEST_REQUEST = 65536
# What these processes import lazily; hundreds of them would repeat it.
# (Not onnxruntime: a process forked after loading it aborts at exit.)
NEEDED_LATER = (
    "celery.apps.worker",
    "celery.backends.base",
    "celery.fixups.django",
    "gunicorn.workers.gthread",
    "kombu.transport.filesystem",
    "kombu.transport.redis",
    "onnx.compose",
    "psycopg",
)


@dataclass(frozen=True, slots=True)
class _Forked:
    """A new process: its request, and its ends of the pipes."""

    request: Request
    tell: int
    hear: int
    log: int


def main() -> None:
    """Serve until the client is gone; a forked process continues from here."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--control", type=int, required=True)
    control = socket.socket(fileno=parser.parse_args().control)
    for module in (*CODE.values(), *NEEDED_LATER):
        importlib.import_module(module)
    gc.freeze()  # else each collection in a forked process copies all of the memory it shares
    forked = _serve(control)
    if forked is not None:
        _become(forked)


def _serve(control: socket.socket) -> _Forked | None:
    """Fork for each request and report each exit. Returns in a new process only, or at the end."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    codes: dict[int, int] = {}  # the pipe for each process's exit code
    waiting = select.poll()
    waiting.register(control, select.POLLIN)
    waiting.register(woken, select.POLLIN)
    while True:
        ready = {number for number, _ in waiting.poll()}
        if woken in ready:
            os.read(woken, 4096)
            _report_exits(codes)
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
            return _Forked(Request(**json.loads(data)), tell, hear, log)
        codes[pid] = code
        for descriptor in (tell, hear, log):
            os.close(descriptor)
        control.send(str(pid).encode())


def _report_exits(codes: dict[int, int]) -> None:
    while codes:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        code = codes.pop(pid)
        with suppress(BrokenPipeError):  # the reader is gone
            os.write(code, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(code)


def _end_all(codes: dict[int, int]) -> None:
    for pid in codes:
        os.killpg(pid, signal.SIGKILL)


def _become(forked: _Forked) -> None:
    os.setsid()  # signals reach gunicorn's processes together
    for target in (1, 2):
        os.dup2(forked.log, target)
    os.close(forked.log)
    os.environ.clear()  # noqa: TID251 (a separate process now)
    os.environ.update(forked.request.environment)  # noqa: TID251 (likewise)
    if forked.request.cgroup is not None:
        (Path(forked.request.cgroup) / "cgroup.procs").write_text(
            str(os.getpid()), encoding="ascii"
        )
    sys.argv = ["faces-jobs", forked.request.kind]
    play(forked.request, tell=forked.tell, hear=forked.hear)


if __name__ == "__main__":
    main()
