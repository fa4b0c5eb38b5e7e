"""The queue: messages that carry only an id, on the folder broker and on Redis."""

from __future__ import annotations

import json
import multiprocessing
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from kombu.entity import Queue as BrokerQueue
from kombu.messaging import Consumer

from faces_jobs.errors import QueueError
from faces_jobs.queue.messages import BrokerMessages
from faces_jobs.queue.producer import JOB_TASK, QUEUE_NAME, SEGMENT_TASK, make_app, open_queue
from faces_jobs.settings import Settings


@pytest.fixture(params=["folder", "redis"])
def queue_settings(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Settings for each kind of broker, with an empty queue."""
    if request.param == "folder":
        return settings
    return settings.model_copy(update={"broker_url": request.getfixturevalue("empty_redis_url")})


def consume(settings: Settings, *, seconds: float = 0.5) -> Iterator[tuple[str, list[Any]]]:
    """Consume messages as a worker does until none arrives for a while: (task, arguments)."""
    messages: list[tuple[str, list[Any]]] = []

    def take(body: list[list[object]], message: object) -> None:
        messages.append((message.headers["task"], body[0]))  # type: ignore[attr-defined]  # kombu's
        message.ack()  # type: ignore[attr-defined]  # kombu's

    app = make_app(settings)
    with app.connection_for_read() as connection:
        queue = BrokerQueue(QUEUE_NAME)  # type: ignore[no-untyped-call]  # kombu's
        consumer = Consumer(  # type: ignore[no-untyped-call]  # kombu's
            connection, [queue], callbacks=[take], accept=["json"]
        )
        with consumer:
            while True:
                try:
                    connection.drain_events(timeout=seconds)
                except TimeoutError:
                    break
    app.close()
    yield from messages


def test_messages_carry_an_id_and_arrive_in_order(queue_settings: Settings) -> None:
    with open_queue(queue_settings) as queue:
        queue.ring_segment(7)
        queue.ring_segment(8)
        queue.ring_job("j-1")
        assert queue.depth() == 3

    assert list(consume(queue_settings)) == [
        (SEGMENT_TASK, [7]),
        (SEGMENT_TASK, [8]),
        (JOB_TASK, ["j-1"]),
    ]
    with open_queue(queue_settings) as queue:
        assert queue.depth() == 0


def test_messages_from_many_threads_all_arrive(queue_settings: Settings) -> None:
    with open_queue(queue_settings) as queue:

        def ring(first: int) -> None:
            for number in range(first, first + 20):
                queue.ring_segment(number)

        threads = [threading.Thread(target=ring, args=(20 * n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(arguments[0] for _, arguments in consume(queue_settings)) == list(range(80))


def test_an_unreachable_broker_raises_a_queue_error(settings: Settings) -> None:
    unreachable = settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"})
    with open_queue(unreachable) as queue:
        with pytest.raises(QueueError):
            queue.ring_segment(1)
        with pytest.raises(QueueError):
            queue.ring_job("x")
        with pytest.raises(QueueError):
            queue.depth()
        with pytest.raises(QueueError):
            BrokerMessages(queue.app).peek(1)


def test_an_error_of_the_broker_raises_a_queue_error(
    settings: Settings, empty_redis_url: str
) -> None:
    with (
        redis.Redis.from_url(empty_redis_url) as client,
        open_queue(settings.model_copy(update={"broker_url": empty_redis_url})) as queue,
    ):
        client.set(QUEUE_NAME, "not a list")
        try:
            with pytest.raises(QueueError):
                queue.depth()
            with pytest.raises(QueueError):
                queue.ring_segment(1)
        finally:
            client.delete(QUEUE_NAME)


def test_a_missing_folder_is_a_connection_error(settings: Settings) -> None:
    app = make_app(settings)
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        (settings.data_folder / "queue" / "messages").rmdir()
        # Celery's worker reconnects after connection errors, and ends after any other.
        with pytest.raises(connection.connection_errors):
            channel.queue_declare(QUEUE_NAME, passive=True)
        with pytest.raises(connection.connection_errors):
            channel._get(QUEUE_NAME)
    app.close()


def test_a_folder_that_is_not_writable_raises_a_queue_error(settings: Settings) -> None:
    with open_queue(settings) as queue:
        folder = settings.data_folder / "queue" / "taken"
        folder.rmdir()
        with pytest.raises(QueueError):
            queue.ring_segment(1)


def test_a_message_in_the_folder_is_json_with_nothing_but_the_id(settings: Settings) -> None:
    with open_queue(settings) as queue:
        queue.ring_segment(41)
    (path,) = (settings.data_folder / "queue" / "messages").iterdir()
    message = json.loads(path.read_text())

    assert message["headers"]["task"] == SEGMENT_TASK
    assert message["headers"]["argsrepr"] == "[41]"
    assert message["content-type"] == "application/json"
    assert list((settings.data_folder / "queue" / "taken").iterdir()) == []


def test_files_that_are_no_messages_are_skipped(settings: Settings) -> None:
    with open_queue(settings) as queue:
        messages = settings.data_folder / "queue" / "messages"
        for number, content in enumerate((b"{ half a mess", b"\xff\xfe", b"[]", b'{"body": "x"}')):
            (messages / f"0-{number}.{QUEUE_NAME}.msg").write_bytes(content)
        queue.ring_segment(5)

    assert list(consume(settings)) == [(SEGMENT_TASK, [5])]
    assert list((settings.data_folder / "queue" / "taken").iterdir()) == []


def _ring_many(settings: Settings, first: int) -> None:
    with open_queue(settings) as queue:
        for number in range(first, first + 40):
            queue.ring_segment(number)


def _take_all(settings: Settings, into: Path, written: Path) -> None:
    numbers: list[int] = []
    done = False
    while not done:
        done = written.exists()  # checked before the round, so that the last one misses nothing
        numbers += [arguments[0] for _, arguments in consume(settings, seconds=0.2)]
    into.write_text(json.dumps(numbers))


def test_each_message_in_the_folder_is_consumed_by_one_process(
    settings: Settings, tmp_path: Path
) -> None:
    """With concurrent writers and readers no message is read half-written, twice or never."""
    with open_queue(settings):
        pass  # creates the folders before the processes race to
    context = multiprocessing.get_context("spawn")
    written = tmp_path / "written"
    files = [tmp_path / f"reader-{number}.json" for number in range(2)]
    readers = [context.Process(target=_take_all, args=(settings, f, written)) for f in files]
    writers = [context.Process(target=_ring_many, args=(settings, 40 * n)) for n in range(3)]
    for process in (*readers, *writers):
        process.start()
    for process in writers:
        process.join()
    written.touch()
    for process in readers:
        process.join()

    assert [process.exitcode for process in (*readers, *writers)] == [0] * 5
    numbers = sorted(number for file in files for number in json.loads(file.read_text()))
    assert numbers == list(range(120))
