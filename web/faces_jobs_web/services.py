"""The services that views use (settings, database, storage, queue), kept by the Flask app."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app

from faces_jobs.db.session import Database
from faces_jobs.queue.producer import Queue
from faces_jobs.readiness import Readiness
from faces_jobs.settings import Settings
from faces_jobs.storage import Storage
from faces_jobs_web.access import Access
from faces_jobs_web.watching import Watcher

EXTENSION = "faces_jobs"


@dataclass(frozen=True, slots=True)
class Services:
    """The settings and the open connections of one app."""

    settings: Settings
    database: Database
    storage: Storage
    queue: Queue
    access: Access
    watcher: Watcher
    readiness: Readiness


def current_services() -> Services:
    """Return the services of the app that handles the current request."""
    services = current_app.extensions[EXTENSION]
    assert isinstance(services, Services)  # noqa: S101 (tells mypy what create_app put there)
    return services
