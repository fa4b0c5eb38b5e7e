"""Reads the messages that wait in the broker without taking them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from celery import Celery

from faces_jobs.queue.producer import QUEUE_NAME, raising_queue_error


@dataclass(frozen=True, slots=True)
class Message:
    """A waiting message. `task` and `argument` are None if it was not sent by this service."""

    task: str | None
    argument: int | str | None
    handle: bytes  # identifies it in the broker


class Messages(Protocol):
    """The messages that wait in the broker."""

    def peek(self, limit: int) -> list[Message]:
        """The oldest messages, oldest first.

        Raises:
            QueueError: the broker does not answer.
        """

    def drop(self, message: Message) -> bool:
        """Remove a message. False: a worker has taken it already.

        Raises:
            QueueError: the broker does not answer.
        """


class BrokerMessages:
    """The messages of a folder or of Redis."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def peek(self, limit: int) -> list[Message]:
        """See `Messages`."""
        with self._channel() as channel:
            if hasattr(channel, "client"):
                # Redis: messages are added on the left, and workers take them from the right.
                newest_first = channel.client.lrange(QUEUE_NAME, -limit, -1)
                return [_parse(raw, raw) for raw in reversed(newest_first)]
            folder = Path(channel.data_folder_in)
            found = []
            for path in sorted(folder.glob(f"*.{QUEUE_NAME}.msg"))[:limit]:
                try:
                    found.append(_parse(path.read_bytes(), path.name.encode()))
                except FileNotFoundError:  # a worker has taken it
                    continue
            return found

    def drop(self, message: Message) -> bool:
        """See `Messages`."""
        with self._channel() as channel:
            if hasattr(channel, "client"):
                return bool(channel.client.lrem(QUEUE_NAME, 1, message.handle))
            try:
                (Path(channel.data_folder_in) / message.handle.decode()).unlink()
            except FileNotFoundError:
                return False
            return True

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        with raising_queue_error(), self._app.connection_for_read() as connection:
            yield connection.default_channel


def _parse(raw: bytes, handle: bytes) -> Message:
    try:
        envelope = json.loads(raw)
        body = json.loads(base64.b64decode(envelope["body"]))
        argument = body[0][0]
        if isinstance(argument, int | str):
            return Message(str(envelope["headers"]["task"]), argument, handle)
    except (ValueError, LookupError, TypeError):
        pass  # sent by somebody else; the worker that takes it logs this
    return Message(None, None, handle)
