"""/api/v1/jobs/<job>/archive: all files created for a job, as one ZIP archive.

Its length is sent first, so that a client notices if it breaks off: the status can't say so.
"""

from __future__ import annotations

import errno
import logging
import unicodedata
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, current_app, request
from prometheus_client import Counter

from faces_jobs.errors import FacesJobsError
from faces_jobs.jobs.documents import JobDocument
from faces_jobs.logs import log_context
from faces_jobs.results import get_job
from faces_jobs.results.archive import archive_chunks, plan_archive
from faces_jobs_web.api.artifacts import DOWNLOAD_POLICY, safe_filename
from faces_jobs_web.api.metrics import metrics_of
from faces_jobs_web.api.queries import ArchiveFilters, read_filters
from faces_jobs_web.operations import Operation, ResponseSpec, describes
from faces_jobs_web.request_ids import ENVIRONMENT_KEY
from faces_jobs_web.services import current_services

blueprint = Blueprint("archive", __name__, url_prefix="/api/v1/jobs/<job_id>/archive")

ZIP = "application/zip"
MAX_STEM_BYTES = 200  # file systems allow 255, and browsers add a number if the name is taken

_log = logging.getLogger(__name__)


@blueprint.get("")
@describes(
    Operation(
        tag="artifacts",
        query=ArchiveFilters,
        responses={
            200: ResponseSpec(
                "The archive.",
                media_types=(ZIP,),
                headers={
                    "Content-Length": "The size of the whole archive.",
                    "Content-Disposition": "The job's label or id, as a file name.",
                },
            )
        },
        problems=(404, 422),
    )
)
def download(job_id: str) -> Response:
    """Download the files that a job has now, as one ZIP archive.

    It is made while it is sent, so it has no ETag and no ranges. If a file can't be read, the
    connection is closed before the end. Files that are known to be missing are left out, and named
    in the archive's `missing-files.txt`.
    """
    filters = read_filters(ArchiveFilters, request.args)
    services = current_services()
    job = get_job(services.database, job_id)
    plan = plan_archive(services.database, job_id, item_id=filters.item, kind=filters.kind)
    if request.method == "HEAD":
        response = Response(content_type=ZIP)
    else:
        chunks = archive_chunks(services.database, services.storage, plan)
        # Before the status is sent, so that a storage that doesn't answer is a problem.
        first = next(chunks)
        sent = _sent(
            first,
            chunks,
            job_id=job_id,
            broken=metrics_of(current_app).broken_archives,
            request_id=request.environ[ENVIRONMENT_KEY],
        )
        response = Response(sent, content_type=ZIP)
    response.content_length = plan.bytes
    response.headers.set("Content-Disposition", "attachment", **_file_names(job))
    response.headers["Content-Security-Policy"] = DOWNLOAD_POLICY
    response.headers["Cache-Control"] = "no-store"
    return response


def _sent(
    first: bytes,
    chunks: Generator[bytes, None, None],
    *,
    job_id: str,
    broken: Counter,
    request_id: str,
) -> Iterator[bytes]:
    """Yield the chunks; if one of them can't be had, let the server close the connection."""
    with closing(chunks):
        yield first
        try:
            yield from chunks
        except (FacesJobsError, OSError) as error:
            broken.inc()
            with log_context(request=request_id):
                _log.error("the archive of job %s broke off: %s", job_id, error)
            # gunicorn takes it for a client that has gone: it closes the connection silently.
            raise ConnectionResetError(errno.ECONNRESET, "the archive broke off") from error


def _file_names(job: JobDocument) -> dict[str, Any]:
    """Return the parameters of Content-Disposition, as Werkzeug's `send_file` makes them."""
    stem = safe_filename(job.label.replace("/", "-").replace("\\", "-")) if job.label else job.id
    stem = stem.encode()[:MAX_STEM_BYTES].decode(errors="ignore")
    name = f"{stem}.zip"
    if name.isascii():
        return {"filename": name}
    # For clients that know only ASCII, such as curl. Of most scripts nothing is left there.
    simple = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    return {
        "filename": f"{simple.strip(' .') or job.id}.zip",
        "filename*": f"UTF-8''{quote(name, safe='!#$&+-.^_`|~')}",
    }
