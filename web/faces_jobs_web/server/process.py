"""The web server: an embedded gunicorn with one threaded worker process.

Uploads can be streamed because gunicorn passes the socket's stream to the app. Database, storage
and queue are opened and closed in the worker process, after the fork.
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
from faces_jobs.queue.producer import open_queue
from faces_jobs.settings import Settings
from faces_jobs.settings.web import url_host
from faces_jobs.storage import open_storage
from faces_jobs_web.app import create_app
from faces_jobs_web.server.head_timeout import HeadTimeoutWorker
from faces_jobs_web.server.listening import BACKLOG, listen
from faces_jobs_web.services import EXTENSION, Services

# How long requests in progress may take to finish after Ctrl-C or SIGTERM.
GRACEFUL_TIMEOUT_SECONDS = 10
KEEP_ALIVE_SECONDS = 5


def serve(settings: Settings) -> None:
    """Serve requests until Ctrl-C or SIGTERM; then the process exits with code 0.

    Prints the URL once the server listens.

    Raises:
        DatabaseError: the database is missing, has another schema or does not respond; raised
            before the server listens.
        AddressError: the server can't listen on the host and port of the settings.
    """
    open_database(settings.database).close()
    _Server(settings, listen(settings)).run()


class _ProcessLogger(Logger):  # type: ignore[misc]  # gunicorn ships no types
    """Logs gunicorn's messages through this process's own handlers and format."""

    def setup(self, cfg: Any) -> None:
        """Set levels, and replace gunicorn's handlers by propagation."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log an error with its traceback; a client's timeout is logged at debug level only."""
        if isinstance(sys.exc_info()[1], BlockingIOError | TimeoutError):
            self.debug("closing a connection: its client neither sends nor reads")
        else:
            super().exception(msg, *args, **kwargs)


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
    """Runs the app within gunicorn's life cycle."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        self._opened = ExitStack()
        super().__init__()

    def load_config(self) -> None:
        """Configure gunicorn; neither its environment variables nor its files are read."""
        settings = self._settings
        values: dict[str, Any] = {
            "bind": f"fd://{self._listener.detach()}",  # gunicorn now owns and closes it
            "backlog": BACKLOG,
            "workers": 1,
            "worker_class": HeadTimeoutWorker,
            # Waiting requests occupy extra threads, so that they leave enough for the others.
            "threads": settings.web_threads + settings.web_waiters,
            "keepalive": KEEP_ALIVE_SECONDS,
            "graceful_timeout": GRACEFUL_TIMEOUT_SECONDS,
            "loglevel": "warning" if settings.log_level == "info" else settings.log_level,
            "logger_class": _ProcessLogger,
            "proc_name": "faces-jobs web",
            "control_socket_disable": True,
            # Nobody may set the path of the app by a header, as gunicorn lets a proxy on this
            # machine do, and so its clients. The one header that we heed is read in `guard`.
            "forwarded_allow_ips": "",
            "when_ready": self._on_ready,
            "post_worker_init": self._on_worker_init,
            "worker_exit": self._on_worker_exit,
        }
        for name, value in values.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Open the services in this worker process and create the app with them."""
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
        port = server.LISTENERS[0].sock.getsockname()[1]  # chosen by the system if it was 0
        click.echo(f"Serving at http://{url_host(self._settings.host)}:{port}")

    def _on_worker_init(self, worker: Any) -> None:
        worker.silence_seconds = self._settings.web_silence_seconds
        # On SIGTERM waiting requests end at once; they would delay the exit by up to their wait.
        services: Services = worker.wsgi.extensions[EXTENSION]
        services.watcher.is_stopping = lambda: not worker.alive
        # Exclude everything loaded so far from garbage collection: a full collection, which some
        # pages of a thousand faces trigger, would delay every request by a tenth of a second.
        gc.collect()
        gc.freeze()

    def _on_worker_exit(self, _server: Any, _worker: Any) -> None:
        self._opened.close()
