"""The Flask application factory: registers views, access checks and error handlers."""

from __future__ import annotations

import re
from functools import partial
from urllib.parse import quote

from flask import Flask, current_app, redirect, request
from werkzeug.exceptions import NotFound
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response as AnyResponse

from faces_jobs.db.session import Database
from faces_jobs.errors import NotFoundError, OptionsError
from faces_jobs.queue.producer import Queue
from faces_jobs.readiness import Readiness
from faces_jobs.results import get_jobs
from faces_jobs.settings import Settings
from faces_jobs.storage import Storage
from faces_jobs_web.access import open_access
from faces_jobs_web.api import (
    api_docs,
    archive,
    artifacts,
    audit,
    deliveries,
    events,
    faces,
    health,
    items,
    job_control,
    jobs,
    metrics,
    roots,
    tracks,
)
from faces_jobs_web.api.metrics import install_metrics
from faces_jobs_web.api.row_numbers import RowConverter
from faces_jobs_web.errors import install_error_handlers, wants_problem
from faces_jobs_web.guard import install_guard
from faces_jobs_web.operations import operation_of
from faces_jobs_web.pages import jobs as job_pages
from faces_jobs_web.pages import login
from faces_jobs_web.pages import submit as submit_page
from faces_jobs_web.pages.rendering import install_rendering
from faces_jobs_web.request_ids import install_request_ids
from faces_jobs_web.services import EXTENSION, Services
from faces_jobs_web.watching import Watcher

# Forms and JSON are small. Uploads have their own limit (`uploads`).
MAX_BODY_BYTES = 1024 * 1024
JOB_ID_PATTERN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def create_app(*, settings: Settings, database: Database, storage: Storage, queue: Queue) -> Flask:
    """Create the web app. The caller owns the services passed in, and closes them."""
    app = Flask("faces_jobs_web", static_url_path="/static")
    app.config["MAX_CONTENT_LENGTH"] = app.config["MAX_FORM_MEMORY_SIZE"] = MAX_BODY_BYTES
    app.url_map.converters["row"] = RowConverter
    app.extensions[EXTENSION] = Services(
        settings=settings,
        database=database,
        storage=storage,
        queue=queue,
        access=open_access(settings.access_token, settings.data_folder),
        watcher=Watcher(partial(get_jobs, database), max_waiters=settings.web_waiters),
        readiness=Readiness(settings=settings, database=database, storage=storage, queue=queue),
    )
    install_request_ids(app)
    install_guard(app)
    app.before_request(_check_path)
    app.before_request(_check_job_id)
    app.before_request(_check_parameters)
    install_error_handlers(app)
    install_rendering(app)
    install_metrics(app)
    for module in (
        api_docs,
        archive,
        artifacts,
        audit,
        deliveries,
        events,
        faces,
        health,
        items,
        job_control,
        job_pages,
        jobs,
        login,
        metrics,
        roots,
        submit_page,
        tracks,
    ):
        app.register_blueprint(module.blueprint)
    return app


def _check_path() -> AnyResponse | None:
    if wants_problem():
        # Werkzeug would redirect to the path without its double slash, with a page in HTML. The
        # path lacks a part, such as an empty id, and what is left may be that of another operation.
        if isinstance(request.routing_exception, RequestRedirect):
            raise NotFound
    elif isinstance(request.routing_exception, NotFound) and request.path.endswith("/"):
        # Typed by a person. Slashes in front would make the next part the name of a host.
        path = f"/{request.path.strip('/')}"
        adapter = current_app.create_url_adapter(request)
        if adapter is not None and adapter.test(path, "GET"):
            query = request.query_string.decode("latin-1")
            return redirect(f"{quote(path)}?{query}" if query else quote(path), 308)
    return None


def _check_job_id() -> None:
    # Checked before any query: PostgreSQL rejects some texts, such as those with NUL.
    job_id = (request.view_args or {}).get("job_id")
    if job_id is not None and not JOB_ID_PATTERN.fullmatch(job_id):
        raise NotFoundError("There is no job with this id.")


def _check_parameters() -> None:
    # Views without query parameters never read them: a job option put into the URL of a
    # submission, for example, would be ignored without an error.
    if not request.args or request.endpoint is None or not request.path.startswith("/api/v1/"):
        return
    operation = operation_of(current_app.view_functions[request.endpoint])
    if operation is not None and operation.query is None:
        raise OptionsError(
            dict.fromkeys(request.args, "unknown; this operation has no query parameters")
        )
