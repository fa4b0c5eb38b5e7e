"""Fixtures: a database, a broker, a storage and a worker, of each kind this machine offers.

`FACES_JOBS_TEST_POSTGRES_URL` and `FACES_JOBS_TEST_REDIS_URL` name the servers to use; without
them the run starts its own from the installed programs. Every test gets an empty database.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from pydantic import SecretStr

from faces_jobs.db.migrate import upgrade
from faces_jobs.db.session import Database, open_database
from faces_jobs.queue.producer import CeleryQueue, open_queue
from faces_jobs.settings import Settings
from faces_jobs.storage import LocalStorage
from faces_jobs.worker.resources import Worker
from tests.buckets import BucketPrefix, S3Server, s3_server
from tests.clips import moving_squares, write_video
from tests.integration.ended_jobs import WEBHOOK_SECRET
from tests.integration.harness import Harness, SquareNetworks
from tests.integration.memory_queue import MemoryQueue
from tests.integration.postgres_databases import EmptyDatabases, run_sql, with_database
from tests.integration.servers import find_program, private_postgres, private_redis
from tests.receivers import Receiver, receiver
from tests.services import missing_service

TEMPLATE = "faces_jobs_template"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a PostgreSQL server on which databases can be created."""
    named = os.environ.get("FACES_JOBS_TEST_POSTGRES_URL")  # noqa: TID251 (the tests' own switch)
    if named:
        yield named
        return
    initdb = find_program("initdb")
    if initdb is None:
        missing_service("PostgreSQL is not installed (Debian: postgresql).")
    with private_postgres(initdb) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_template(
    postgres_url: str,
    statements: None,  # noqa: ARG001 (whoever uses a database)
) -> Iterator[str]:
    """The name of a database with the newest schema, which is copied for each test."""
    name = f"{TEMPLATE}_{uuid.uuid4().hex[:8]}"
    run_sql(postgres_url, f'CREATE DATABASE "{name}"')
    upgrade(with_database(postgres_url, name))
    yield name
    run_sql(postgres_url, f'DROP DATABASE "{name}"')


@pytest.fixture(scope="session")
def postgres_databases(postgres_url: str, postgres_template: str) -> Iterator[EmptyDatabases]:
    """Empty databases of that server."""
    databases = EmptyDatabases(postgres_url, postgres_template)
    yield databases
    databases.drop_all()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Redis server."""
    named = os.environ.get("FACES_JOBS_TEST_REDIS_URL")  # noqa: TID251 (the tests' own switch)
    if named:
        yield named
        return
    program = find_program("redis-server")
    if program is None:
        missing_service("Redis is not installed (Debian: redis-server).")
    with private_redis(program, tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def sqlite_database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of an empty SQLite database."""
    path = tmp_path / "test.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_database_url(postgres_databases: EmptyDatabases) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    with postgres_databases.lent() as url:
        yield url


@pytest.fixture
def unencoded_database_url(postgres_url: str) -> Iterator[str]:
    """The URL of a PostgreSQL database without tables, encoded as on a server without a locale."""
    name = f"faces_jobs_{uuid.uuid4().hex[:12]}"
    encoding = "TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"
    run_sql(postgres_url, f'CREATE DATABASE "{name}" {encoding}')
    yield with_database(postgres_url, name)
    run_sql(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared_database_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of a database of each kind, shared by a module whose tests use their own jobs."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("shared") / "test.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    with request.getfixturevalue("postgres_databases").lent() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of each kind."""
    kind = "sqlite" if request.param == "sqlite" else "postgres"
    return str(request.getfixturevalue(f"{kind}_database_url"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The database of `database_url`, open."""
    with open_database(database_url) as opened:
        yield opened


@pytest.fixture(params=["folder", "redis"])
def broker_settings(
    request: pytest.FixtureRequest, settings: Settings, database_url: str
) -> Settings:
    """Settings for each kind of database with each kind of broker, whose queue is empty."""
    values = {"database_url": database_url}
    if request.param == "redis":
        values["broker_url"] = request.getfixturevalue("empty_redis_url")
    return settings.model_copy(update=values)


@pytest.fixture
def empty_redis_url(redis_server: str) -> str:
    """The Redis server's URL, after deleting this project's queue."""
    import redis  # noqa: PLC0415 (an optional dependency)

    with redis.Redis.from_url(redis_server) as client:
        client.delete("faces_jobs")
    return redis_server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3 server that checks signatures."""
    with s3_server() as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server) -> BucketPrefix:
    """An empty prefix of the bucket."""
    return BucketPrefix(s3, f"some/{uuid.uuid4().hex}")


@pytest.fixture
def storage(settings: Settings) -> LocalStorage:
    """An empty storage."""
    return LocalStorage(settings.data_folder / "files", min_free_bytes=settings.min_free_bytes)


@pytest.fixture
def queue(settings: Settings) -> Iterator[CeleryQueue]:
    """A queue on the folder broker."""
    with open_queue(settings) as opened:
        yield opened


@pytest.fixture
def harness(
    settings: Settings,
    database: Database,
    storage: LocalStorage,
    queue: CeleryQueue,
    tmp_path: Path,
) -> Harness:
    """A worker in this process that finds coloured squares, and helpers to give it work."""
    networks = SquareNetworks()
    worker = Worker(
        name="alice",
        settings=settings.model_copy(
            update={
                "batch_size": 2,
                "heartbeat_seconds": 0.02,
                "lease_seconds": 30.0,
                "retry_seconds": 0.0,
            }
        ),
        database=database,
        storage=storage,
        queue=queue,
        networks=networks,
    )
    return Harness(worker, networks, tmp_path)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """The log file of worker processes; printed at the end, so that a failure shows it."""
    path = tmp_path / "worker.log"
    path.touch()
    yield path
    print(path.read_text(errors="replace"))  # noqa: T201 (pytest shows it if a test fails)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A video of ten frames with two squares each."""
    return write_video(tmp_path / "clip.mp4", moving_squares(10))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photograph of two squares."""
    path = tmp_path / "photo.png"
    Image.fromarray(moving_squares(1)[0][:, :, ::-1]).save(path)
    return path


@pytest.fixture
def webhook_settings(settings: Settings, database_url: str) -> Settings:
    """Settings that allow webhooks to this machine."""
    return settings.model_copy(
        update={
            "database_url": database_url,
            "webhook_secret": SecretStr(WEBHOOK_SECRET),
            "webhook_networks": "127.0.0.1",
            "webhook_ports": "*",
        }
    )


@pytest.fixture
def receiving() -> Iterator[Receiver]:
    """A receiver that accepts everything."""
    with receiver() as opened:
        yield opened


@pytest.fixture
def memory_queue() -> Iterator[MemoryQueue]:
    with MemoryQueue() as queue:
        yield queue
