"""The broker as its producers see it: doorbells by task name, carrying an id and nothing else.

Losing, doubling or reordering messages changes nothing, because rows are the truth: a worker
claims what a message names, and a sweep rings again for what waits too long.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from celery import Celery
from kombu.exceptions import ChannelError, KombuError
from kombu.exceptions import OperationalError as BrokerError

from faces_jobs.errors import QueueError, SettingsError
from faces_jobs.settings import Settings

QUEUE_NAME = "faces_jobs"
SEGMENT_TASK = "faces_jobs.segment"
JOB_TASK = "faces_jobs.job"
CONNECT_SECONDS = 3.0
FOLDER_TRANSPORT = "faces_jobs.queue_folder:Transport"


class Queue(Protocol):
    """Rings for work. Thread-safe."""

    def ring_segment(self, segment_id: int) -> None:
        """Tell a worker of a segment that waits.

        Raises:
            QueueError: the broker does not answer.
        """

    def ring_job(self, job_id: str) -> None:
        """Tell a worker of a job whose exports are to be written.

        Raises:
            QueueError: the broker does not answer.
        """

    def depth(self) -> int:
        """Messages that no worker has taken yet.

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
        except ChannelError:  # no such queue yet: no worker ever listened, nothing was ever sent
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
    """Turn what a transport raises when its broker does not answer into QueueError."""
    try:
        yield
    except (BrokerError, KombuError, OSError) as error:
        raise _silent(error) from error
    except Exception as error:
        # redis-py has a tree of its own, which is an extra here and can't be named.
        if type(error).__module__.startswith("redis."):
            raise _silent(error) from error
        raise


def open_queue(settings: Settings) -> CeleryQueue:
    """The queue that the settings name. Connects when something is sent."""
    return CeleryQueue(make_app(settings))


def make_app(settings: Settings) -> Celery:
    """A Celery app without tasks: JSON only, no results, one queue."""
    app = Celery("faces_jobs", set_as_current=False, autofinalize=False)
    app.conf.update(
        **_broker(settings),
        broker_connection_timeout=CONNECT_SECONDS,
        task_default_queue=QUEUE_NAME,
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        # No limit: the one slot takes a message, works, and only then asks for the next. With a
        # limit a message whose taking the broker did not hear of, since it went down meanwhile,
        # counts against it for ever: that worker is alive and asks for nothing more.
        worker_prefetch_multiplier=0,
        # A message is done when it is read. Were it kept until the work is done, Redis would send
        # it again after an hour of work; who looks after lost work is the sweep.
        task_acks_late=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        # A worker waits for its broker however long that is away: by default it gives up and ends.
        broker_connection_max_retries=None,
    )
    app.finalize()
    return app


def _broker(settings: Settings) -> dict[str, Any]:
    if not settings.broker_url:
        return _folder_broker(settings.data_folder.resolve() / "queue")
    scheme = urlsplit(settings.broker_url).scheme
    if scheme not in ("redis", "rediss"):
        raise SettingsError(
            f"FACES_JOBS_BROKER_URL: {scheme or 'that'} is not supported. Use redis://..., "
            "or leave it empty for a folder in the data folder."
        )
    return {
        "broker_url": settings.broker_url,
        "broker_transport_options": {
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": CONNECT_SECONDS,
            "socket_keepalive": True,
            # A producer says at once that the broker is silent; it has rows to fall back on.
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
        "broker_url": "filesystem://localhost",  # any name: without one kombu warns
        "broker_transport": FOLDER_TRANSPORT,
        "broker_transport_options": {
            "data_folder_in": str(messages),
            "data_folder_out": str(messages),
            "processed_folder": str(taken),
            "polling_interval": 0.1,
        },
    }


def _silent(error: Exception) -> QueueError:
    return QueueError(f"The broker does not answer: {error}")
