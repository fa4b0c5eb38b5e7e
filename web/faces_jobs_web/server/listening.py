"""Opens the web server's listening socket, or fails with an error that says what to do."""

from __future__ import annotations

import errno
import socket
import struct
import time

from faces_jobs.errors import AddressError
from faces_jobs.settings import Settings

BACKLOG = 2048  # connections waiting to be accepted: gunicorn's default
# The worker process of a killed server keeps the address until it notices that its parent is gone.
ADDRESS_TIMEOUT_SECONDS = 5.0
_RETRY_SECONDS = 0.2


def listen(
    settings: Settings, *, timeout_seconds: float = ADDRESS_TIMEOUT_SECONDS
) -> socket.socket:
    """Return a socket that listens on the host and port of the settings.

    Args:
        settings: port 0 lets the system choose one.
        timeout_seconds: how long to wait for an address that is in use.

    Raises:
        AddressError: the address is in use, is not one of this machine's, or may not be opened
            by this user.
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
    """Check that the web server could listen now, without keeping the address.

    Raises:
        AddressError: as in `listen`, but raised at once.
    """
    listen(settings, timeout_seconds=0.0).close()


def _listen(settings: Settings) -> socket.socket:
    is_v6 = ":" in settings.host
    listener = socket.create_server(
        (settings.host, settings.port),
        family=socket.AF_INET6 if is_v6 else socket.AF_INET,
        backlog=BACKLOG,
    )
    # On Linux, connections inherit these options from the listening socket. The receive timeout
    # stops silent clients from occupying a thread for ever.
    seconds, fraction = divmod(settings.web_silence_seconds, 1)
    timeout = struct.pack("@ll", int(seconds), int(fraction * 1e6))  # struct timeval
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
    # Likewise for clients that stop reading a response: a paused video, a sleeping machine.
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        milliseconds = max(1, int(settings.web_silence_seconds * 1000))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    return listener


def _reason(error: OSError, settings: Settings) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {settings.port} of {settings.host} is in use by another program: stop that "
            "program, or choose another port with FACES_JOBS_PORT."
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return (
            f"This user may not open port {settings.port}: choose a port from 1024 up with "
            "FACES_JOBS_PORT."
        )
    return (
        f"{settings.host} is not an address of this machine ({error.strerror or error}): "
        "correct FACES_JOBS_HOST."
    )
