"""The web server: gunicorn's threaded worker, embedded. One process, several requests at once.

Uploads reach the app as they arrive, since gunicorn hands over the socket's own stream. Database,
storage and queue are opened in the process that answers, after the fork, and closed there.
"""

from __future__ import annotations

import gc
import socket
import sys
from contextlib import ExitStack
from typing import Any

import click
from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from faces_jobs.counters import Counters
from faces_jobs.db.session import open_database
from faces_jobs.presence import Presence
from faces_jobs.queue import open_queue
from faces_jobs.settings import Settings
from faces_jobs.storage import open_storage
from faces_jobs_web.app import create_app
from faces_jobs_web.head_timeout import HeadTimeoutWorker
from faces_jobs_web.listening import BACKLOG, listen
from faces_jobs_web.services import EXTENSION, Services

# Within this time after Ctrl-C or TERM, requests that are being answered may end.
GRACEFUL_SECONDS = 10
KEEP_ALIVE_SECONDS = 5


def serve(settings: Settings) -> None:
    """Answer requests until Ctrl-C or SIGTERM; then the process exits with code 0.

    Prints the URL once the server listens.

    Raises:
        DatabaseError: the database is missing, old or does not answer; said before anything
            listens.
        AddressError: host or port can't be listened at.
    """
    open_database(settings.database).close()
    _Server(settings, listen(settings)).run()


class _SameLog(Logger):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's own lines, in the form of all others."""

    def setup(self, cfg: Any) -> None:
        """Set levels, and leave writing to this process's own handlers."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Tell an error with its traceback. A client that falls silent is none."""
        if isinstance(sys.exc_info()[1], BlockingIOError | TimeoutError):
            self.debug("A client fell silent, or takes nothing: its connection is closed.")
        else:
            super().exception(msg, *args, **kwargs)


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
    """The app in gunicorn's life-cycle."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        self._opened = ExitStack()
        super().__init__()

    def load_config(self) -> None:
        """Set what gunicorn needs; neither its environment variables nor its files are read."""
        settings = self._settings
        values: dict[str, Any] = {
            "bind": f"fd://{self._listener.detach()}",  # gunicorn's from now on, also to close
            "backlog": BACKLOG,
            "workers": 1,
            "worker_class": HeadTimeoutWorker,
            # Who waits sits in a thread of its own, so that it takes none from who asks.
            "threads": settings.web_threads + settings.web_waiters,
            "keepalive": KEEP_ALIVE_SECONDS,
            "graceful_timeout": GRACEFUL_SECONDS,
            "loglevel": "warning" if settings.log_level == "info" else settings.log_level,
            "logger_class": _SameLog,
            "proc_name": "faces-jobs web",
            "control_socket_disable": True,
            "when_ready": self._on_ready,
            "post_worker_init": self._on_worker,
            "worker_exit": self._on_exit,
        }
        for name, value in values.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Open the services in this worker process and make the app around them."""
        settings = self._settings
        database = self._opened.enter_context(open_database(settings.database))
        self._opened.enter_context(
            Presence(
                database,
                kind="web",
                interval_seconds=settings.presence_seconds,
                counters=Counters(),
            )
        )
        return create_app(
            settings=settings,
            database=database,
            storage=open_storage(settings),
            queue=self._opened.enter_context(open_queue(settings)),
        )

    def _on_ready(self, server: Any) -> None:
        port = server.LISTENERS[0].sock.getsockname()[1]  # told by the system when it was 0
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        click.echo(f"Serving at http://{host}:{port}")

    def _on_worker(self, worker: Any) -> None:
        worker.head_seconds = self._settings.web_silence_seconds
        # On TERM whoever waits is answered at once: it would hold up the end for as long as it may.
        held: Services = worker.wsgi.extensions[EXTENSION]
        held.watcher.stopping = lambda: not worker.alive
        # What is loaded by now stays: to look through all of it for garbage, as Python does after
        # some pages of a thousand faces, holds up every request for a tenth of a second.
        gc.collect()
        gc.freeze()

    def _on_exit(self, _server: Any, _worker: Any) -> None:
        self._opened.close()
