"""A folder as a broker: Celery's `filesystem://` transport, made safe for several processes.

As it ships, a reader can meet a message that is still being written, or a table of queues that
is still empty, and messages pass through the machine's common temporary folder. Here a message
appears by a rename and is taken by a rename, so that it is whole and goes to one reader.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.transport.filesystem import exchange_queue_t

LOOK_SECONDS = 0.3

_log = logging.getLogger(__name__)


class Channel(filesystem.Channel):
    """Messages are files `<nanoseconds>-<random>.<queue>.msg`, so that names sort by age."""

    supports_fanout = False

    def get_table(self, exchange: str) -> list[Any]:
        """Every exchange leads to the queue of its own name: there is nothing to look up."""
        return [exchange_queue_t(exchange, "", exchange)]

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Nothing to remember: see `get_table`."""

    def _put(self, queue: str, payload: Any, **_options: Any) -> None:  # type: ignore[override]  # kombu's two base classes name it differently
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex}"
        unfinished = Path(self.processed_folder) / f"{name}.new"
        try:
            unfinished.write_text(json.dumps(payload), encoding="utf-8")
            unfinished.rename(Path(self.data_folder_out) / f"{name}.{queue}.msg")
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise ChannelError(f"can't write into {self.data_folder_out}: {error}") from error

    def _get(self, queue: str, timeout: float | None = None) -> Any:  # noqa: ARG002 (kombu's)
        # An OSError from here is a broker that does not answer, see `Transport.connection_errors`.
        every = sorted(Path(self.data_folder_in).iterdir())
        for path in every:
            if not path.name.endswith(f".{queue}.msg"):
                continue
            taken = Path(self.processed_folder) / path.name
            try:
                path.rename(taken)
                text = taken.read_text(encoding="utf-8")
                taken.unlink()
            except FileNotFoundError:  # another reader was faster
                continue
            try:
                return json.loads(text)
            except ValueError:
                _log.warning("message %s is no JSON: it was put there by someone else", path.name)
        raise Empty


class Transport(filesystem.Transport):
    """The transport that Celery loads by this file's name."""

    Channel = Channel
    # A folder that is gone is waited for by workers, as a server is; by default it ends them.
    connection_errors: tuple[Any, ...] = (*filesystem.Transport.connection_errors, OSError)

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> None:
        """Wait for a message, a moment only: between two calls Celery sees that it is to stop."""
        seconds = LOOK_SECONDS if timeout is None else min(timeout, LOOK_SECONDS)
        super().drain_events(connection, timeout=seconds)  # type: ignore[no-untyped-call]  # kombu
