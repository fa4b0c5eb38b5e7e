"""The producers' side of the broker: messages that carry a task name and an id, and nothing else.

Messages may be lost, duplicated or reordered without harm, because rows are the truth: a message
only makes a worker look for work, and a sweep rings again for work that waits too long.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from celery import Celery
from kombu.exceptions import ChannelError, KombuError
from kombu.exceptions import OperationalError as BrokerError

from faces_jobs.errors import QueueError
from faces_jobs.settings import Settings

QUEUE_NAME = "faces_jobs"
SEGMENT_TASK = "faces_jobs.segment"
JOB_TASK = "faces_jobs.job"
CONNECT_TIMEOUT_SECONDS = 3.0
FOLDER_TRANSPORT = "faces_jobs.queue.folder:Transport"


class Queue(Protocol):
    """Rings for work. Thread-safe."""

    def ring_segment(self, segment_id: int) -> None:
        """Send a message for a waiting segment.

        Raises:
            QueueError: the broker does not answer.
        """

    def ring_job(self, job_id: str) -> None:
        """Send a message for a job whose exports are to be written.

        Raises:
            QueueError: the broker does not answer.
        """

    def depth(self) -> int:
        """The number of messages that no worker has taken yet.

        Raises:
            QueueError: the broker does not answer.
        """

    def close(self) -> None:
        """Close the connections."""

    def __enter__(self) -> Queue: ...

    def __exit__(self, *exception: object) -> None: ...


class CeleryQueue:
    """The queue on any broker that Celery speaks to."""

    def __init__(self, app: Celery) -> None:
        self.app = app

    def ring_segment(self, segment_id: int) -> None:
        """See `Queue`."""
        self._send(SEGMENT_TASK, segment_id)

    def ring_job(self, job_id: str) -> None:
        """See `Queue`."""
        self._send(JOB_TASK, job_id)

    def depth(self) -> int:
        """See `Queue`."""
        try:
            with raising_queue_error(), self.app.connection_for_write() as connection:
                declared = connection.default_channel.queue_declare(QUEUE_NAME, passive=True)
                return int(declared.message_count)
        except ChannelError:  # the queue is only created by the first worker or message
            return 0

    def close(self) -> None:
        """See `Queue`."""
        self.app.close()

    def _send(self, task: str, argument: int | str) -> None:
        with raising_queue_error():
            self.app.send_task(
                task, args=[argument], queue=QUEUE_NAME, ignore_result=True, retry=False
            )

    def __enter__(self) -> CeleryQueue:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@contextmanager
def raising_queue_error() -> Iterator[None]:
    """Convert the errors of a transport whose broker does not answer to QueueError."""
    try:
        yield
    except (BrokerError, KombuError, OSError) as error:
        raise _no_answer(error) from error
    except Exception as error:
        # The exceptions of redis-py can't be named here, since it is an optional dependency.
        if type(error).__module__.startswith("redis."):
            raise _no_answer(error) from error
        raise


def open_queue(settings: Settings) -> CeleryQueue:
    """The queue that the settings select. Connects when the first message is sent."""
    return CeleryQueue(make_app(settings))


def make_app(settings: Settings) -> Celery:
    """A Celery app without tasks: JSON only, no results, one queue."""
    app = Celery("faces_jobs", set_as_current=False, autofinalize=False)
    app.conf.update(
        **_broker(settings),
        broker_connection_timeout=CONNECT_TIMEOUT_SECONDS,
        task_default_queue=QUEUE_NAME,
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        # No limit: the solo pool reads one message at a time anyway. With a limit, a message whose
        # acknowledgement is lost while the broker is down would count against it for ever, and the
        # worker would stop reading messages.
        worker_prefetch_multiplier=0,
        # Messages are acknowledged when they are read. Otherwise Redis would deliver them again
        # after an hour of work; lost work is found by the sweep.
        task_acks_late=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        # A worker waits for its broker indefinitely; by default it gives up and exits.
        broker_connection_max_retries=None,
    )
    app.finalize()
    return app


def _broker(settings: Settings) -> dict[str, Any]:
    if not settings.broker_url:
        return _folder_broker(settings.data_folder.resolve() / "queue")
    return {
        "broker_url": settings.broker_url,
        "broker_transport_options": {
            "socket_connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "socket_timeout": CONNECT_TIMEOUT_SECONDS,
            "socket_keepalive": True,
            # A producer fails at once if the broker does not answer: the rows are still there.
            "max_retries": 0,
            "interval_start": 0,
            "interval_step": 0,
            "interval_max": 0,
        },
    }


def _folder_broker(folder: Path) -> dict[str, Any]:
    messages = folder / "messages"
    taken = folder / "taken"
    for needed in (messages, taken):
        needed.mkdir(parents=True, exist_ok=True)
    return {
        "broker_url": "filesystem://localhost",  # without a host name kombu logs a warning
        "broker_transport": FOLDER_TRANSPORT,
        "broker_transport_options": {
            "data_folder_in": str(messages),
            "data_folder_out": str(messages),
            "processed_folder": str(taken),
            "polling_interval": 0.1,
        },
    }


def _no_answer(error: Exception) -> QueueError:
    return QueueError(f"The broker does not answer: {error}")
