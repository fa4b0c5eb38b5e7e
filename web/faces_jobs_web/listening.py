"""The address that the web server listens at: opened before anything else, or one clear error."""

from __future__ import annotations

import errno
import socket
import struct
import time

from faces_jobs.errors import AddressError
from faces_jobs.settings import Settings

BACKLOG = 2048  # connections that wait to be taken: gunicorn's own number
# A server that was killed leaves a process that holds the address until it sees that it is alone.
ADDRESS_TIMEOUT_SECONDS = 5.0
_RETRY_SECONDS = 0.2


def listen(
    settings: Settings, *, timeout_seconds: float = ADDRESS_TIMEOUT_SECONDS
) -> socket.socket:
    """A socket that listens at the settings' host and port.

    Args:
        settings: port 0 lets the system choose one.
        timeout_seconds: how long to wait for an address that is taken.

    Raises:
        AddressError: it is taken, not this machine's, or not allowed; says what to do.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            return _listen(settings)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline:
                raise AddressError(_reason(error, settings)) from error
        time.sleep(_RETRY_SECONDS)


def check_address(settings: Settings) -> None:
    """See that the web server could listen now, and let the address go again.

    Raises:
        AddressError: as `listen`, at once.
    """
    listen(settings, timeout_seconds=0.0).close()


def _listen(settings: Settings) -> socket.socket:
    is_v6 = ":" in settings.host
    listener = socket.create_server(
        (settings.host, settings.port),
        family=socket.AF_INET6 if is_v6 else socket.AF_INET,
        backlog=BACKLOG,
    )
    # Linux hands this on to each connection: who falls silent would hold a thread for ever.
    seconds, rest = divmod(settings.web_silence_seconds, 1)
    patience = struct.pack("@ll", int(seconds), int(rest * 1e6))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
    # So would who takes nothing of an answer: a video that is paused, a machine that sleeps.
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        milliseconds = max(1, int(settings.web_silence_seconds * 1000))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    return listener


def _reason(error: OSError, settings: Settings) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {settings.port} of {settings.host} is taken by another program: end that one, "
            "or choose another port with FACES_JOBS_PORT."
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return (
            f"Port {settings.port} may not be opened by this user: choose one from 1024 on with "
            "FACES_JOBS_PORT."
        )
    return (
        f"{settings.host} is no address of this machine ({error.strerror or error}): "
        "correct FACES_JOBS_HOST."
    )
