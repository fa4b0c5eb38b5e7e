"""A folder as a broker: kombu's `filesystem://` transport, made safe for several processes.

With the original, a reader can see a message that is still being written, or a table of queues
that is still empty, and messages pass through the machine's shared temporary folder. Here a message
is published by a rename and taken by a rename, so that it is complete and read by one reader only.
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

POLL_SECONDS = 0.3

_log = logging.getLogger(__name__)


class Channel(filesystem.Channel):
    """Stores messages as files `<nanoseconds>-<random>.<queue>.msg`, whose names sort by age."""

    supports_fanout = False

    def get_table(self, exchange: str) -> list[Any]:
        """Each exchange is bound to the queue of the same name, without a table on disk."""
        return [exchange_queue_t(exchange, "", exchange)]

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Does nothing: see `get_table`."""

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
        # An OSError here counts as a lost connection; see `Transport.connection_errors`.
        for path in sorted(Path(self.data_folder_in).iterdir()):
            if not path.name.endswith(f".{queue}.msg"):
                continue
            taken = Path(self.processed_folder) / path.name
            try:
                path.rename(taken)
                content = taken.read_bytes()
                taken.unlink()
            except FileNotFoundError:  # another reader was faster
                continue
            message = _parse(content)
            if message is not None:
                return message
            _log.warning("ignored message %s, which is none of Celery's", path.name)
        raise Empty


def _parse(content: bytes) -> dict[str, Any] | None:
    """Parse a message. None: it is damaged, or somebody else's, and would end the worker."""
    try:
        message = json.loads(content)
    except ValueError:
        return None
    has_all = isinstance(message, dict) and message.keys() >= {"body", "headers", "properties"}
    return message if has_all else None


class Transport(filesystem.Transport):
    """The transport, which Celery loads by the name of this module."""

    Channel = Channel
    # If the folder is missing, workers wait and reconnect, as for a server; by default they exit.
    connection_errors: tuple[Any, ...] = (*filesystem.Transport.connection_errors, OSError)

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> None:
        """Wait briefly for a message: Celery checks between two calls whether it has to stop."""
        seconds = POLL_SECONDS if timeout is None else min(timeout, POLL_SECONDS)
        super().drain_events(connection, timeout=seconds)  # type: ignore[no-untyped-call]  # kombu
