"""Fixtures: the app with a real SQLite database, a real storage folder and the folder queue."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from jinja2 import FileSystemBytecodeCache
from pydantic import SecretStr

from faces_jobs.db.session import Database, open_database
from faces_jobs.queue.producer import open_queue
from faces_jobs.settings import Settings
from faces_jobs.storage import open_storage
from faces_jobs_web.app import create_app
from faces_jobs_web.services import EXTENSION, Services
from tests.unit.web import worked
from tests.unit.web.conforming import WebClient, client_of
from tests.unit.web.media_files import XSS, upload

TOKEN = "a-long-enough-access-token"

MakeApp = Callable[..., Flask]


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """The compiled templates of all apps: a page takes longer to compile than to answer."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def make_app(
    tmp_path: Path, sqlite_template: Path, compiled_templates: FileSystemBytecodeCache
) -> Iterator[MakeApp]:
    """A factory of apps, whose database and queue are closed when the test ends."""
    with ExitStack() as opened:

        def make(**values: Any) -> Flask:
            settings = Settings(**{"data_folder": tmp_path / "data", "min_free_bytes": 0, **values})
            settings.data_folder.mkdir(parents=True, exist_ok=True)
            path = settings.data_folder / "faces_jobs.db"
            if not path.exists():
                shutil.copy(sqlite_template, path)
            app = create_app(
                settings=settings,
                database=opened.enter_context(open_database(settings.database)),
                storage=open_storage(settings),
                queue=opened.enter_context(open_queue(settings)),
            )
            app.test_client_class = WebClient
            app.jinja_env.bytecode_cache = compiled_templates
            return app

        yield make


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """An app without an access token."""
    return make_app()


@pytest.fixture
def client(app: Flask) -> WebClient:
    """A client of that app, which validates every response against the OpenAPI document."""
    return client_of(app)


@pytest.fixture
def guarded(make_app: MakeApp) -> Flask:
    """An app that requires the access token."""
    return make_app(access_token=SecretStr(TOKEN))


@pytest.fixture
def services(app: Flask) -> Services:
    """The services of the app."""
    services = app.extensions[EXTENSION]
    assert isinstance(services, Services)
    return services


@pytest.fixture
def database(services: Services) -> Database:
    """The app's database."""
    return services.database


@pytest.fixture
def done(client: WebClient, services: Services) -> str:
    """A finished job whose names contain markup."""
    data = {"files": upload(f"{XSS}.png"), "label": f"{XSS} label"}
    job_id = client.post("/api/v1/jobs", data=data).json["id"]
    worked.finish(services.database, services.storage, job_id, name=XSS)
    return str(job_id)
