"""/api/v1/jobs/<job>/artifacts: the files made for a job, and their download.

A download says itself what it is: the media type is the one that the server recorded when it
made the file, the browser is told not to guess another and to save it, and whatever it is, it
may run nothing. Only pictures and videos that the server made can be shown in place.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import Any, BinaryIO

from flask import Blueprint, Response, request, send_file
from werkzeug.exceptions import HTTPException, PreconditionFailed
from werkzeug.http import is_resource_modified, quote_etag

from faces_jobs.jobs.documents import ArtifactPage
from faces_jobs.results import list_artifacts, open_artifact
from faces_jobs_web.answers import document_response
from faces_jobs_web.operations import Operation, ResponseSpec, describes
from faces_jobs_web.queries import ArtifactFilters, DownloadFilters, read_filters
from faces_jobs_web.services import current_services

blueprint = Blueprint("artifacts", __name__, url_prefix="/api/v1/jobs/<job_id>/artifacts")

SHOWN_KINDS = frozenset({"annotated_image", "annotated_video", "thumbnail"})
SHOWN_TYPES = frozenset(
    {"image/bmp", "image/gif", "image/jpeg", "image/png", "image/webp", "video/mp4"}
)
DOWNLOAD_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"
# Several ranges at once, and units other than bytes, may be answered with the whole file.
ONE_RANGE = re.compile(r"bytes=(\d+-\d*|-\d+)")
LAST_BYTES = re.compile(r"bytes=-(\d+)")

_HEADERS = {
    "ETag": "The SHA-256 of the file.",
    "Content-Disposition": "The name to save it under.",
    "Accept-Ranges": "`bytes`.",
}


@blueprint.get("")
@describes(
    Operation(
        tag="artifacts",
        query=ArtifactFilters,
        responses={200: ResponseSpec("Artifacts in the order they were made.", ArtifactPage)},
        problems=(404, 422),
    )
)
def index(job_id: str) -> Response:
    """List a job's files: annotated copies, thumbnails and tables."""
    filters = read_filters(ArtifactFilters, request.args)
    return document_response(
        list_artifacts(
            current_services().database,
            job_id,
            item_id=filters.item,
            kind=filters.kind,
            cursor=filters.cursor,
            limit=filters.limit,
        )
    )


@blueprint.get("/<row:artifact_id>")
@describes(
    Operation(
        tag="artifacts",
        query=DownloadFilters,
        request_headers={
            "Range": "One range of bytes: `bytes=0-1023`.",
            "If-Range": "An ETag: the range is answered only when it is still this file's.",
        },
        responses={
            200: ResponseSpec(
                "The file.", media_types=("application/octet-stream",), headers=_HEADERS
            ),
            206: ResponseSpec(
                "The part that Range asked for.",
                media_types=("application/octet-stream",),
                headers={**_HEADERS, "Content-Range": "Which part of how many bytes."},
            ),
            304: ResponseSpec("The file still has the ETag in If-None-Match."),
        },
        problems=(404, 412, 416, 422),
    )
)
def download(job_id: str, artifact_id: int) -> Response:
    """Download a file, whole or in part."""
    filters = read_filters(DownloadFilters, request.args)
    services = current_services()
    opened = open_artifact(services.database, services.storage, job_id, artifact_id)
    artifact = opened.document
    shown = filters.inline and artifact.kind in SHOWN_KINDS and artifact.media_type in SHOWN_TYPES
    try:
        _check_conditions(artifact.sha256, opened.stored.modified)
        _widen_range(opened.stored.bytes)
    except PreconditionFailed:
        opened.stored.file.close()
        raise
    response = _send_file(
        opened.stored.file,
        mimetype=artifact.media_type,
        as_attachment=not shown,
        download_name=saved_name(artifact.name),
        etag=artifact.sha256,
        last_modified=opened.stored.modified,
    )
    response.content_length = opened.stored.bytes
    try:
        response.make_conditional(
            request.environ, accept_ranges=True, complete_length=opened.stored.bytes
        )
    except HTTPException:  # a range that the file does not have
        opened.stored.file.close()
        raise
    response.headers["Content-Security-Policy"] = DOWNLOAD_POLICY
    # An artifact never changes, but it may be deleted: ask again, the ETag makes that cheap.
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _check_conditions(sha256: str, modified: datetime) -> None:
    """Judge the conditions in their order (RFC 9110, 13.2.2), which Werkzeug does not keep.

    What is left in the request is for Werkzeug: whether to answer 304, and one range.

    Raises:
        PreconditionFailed: the client wants another file than this one.
    """
    wanted, not_since = request.if_match, request.if_unmodified_since
    if wanted:
        failed = sha256 not in wanted
    else:
        failed = not_since is not None and modified.replace(microsecond=0) > not_since
    if failed:
        raise PreconditionFailed("The file is another one than the request names: load it anew.")
    environ = request.environ
    environ.pop("HTTP_IF_MATCH", None)
    is_new = is_resource_modified(environ, etag=quote_etag(sha256), last_modified=modified)
    if not is_new or not ONE_RANGE.fullmatch(request.headers.get("Range", "")):
        environ.pop("HTTP_RANGE", None)


def _widen_range(length: int) -> None:
    """Take more last bytes than a file has for all of it (RFC 9110, 14.1.2); Werkzeug refuses."""
    wanted = LAST_BYTES.fullmatch(request.headers.get("Range", ""))
    if wanted is None or length == 0:
        return
    # Padded, numbers compare as texts do; thousands of digits are no number to Python.
    asked, had = wanted[1], str(length)
    digits = max(len(asked), len(had))
    if asked.rjust(digits, "0") > had.rjust(digits, "0"):
        request.environ["HTTP_RANGE"] = "bytes=0-"


def _send_file(file: BinaryIO, **how: Any) -> Response:
    """`send_file`, of which a part can be sent without reading all that is before it."""
    own = request.environ.pop("wsgi.file_wrapper", None) if "Range" in request.headers else None
    try:
        return send_file(file, **how)
    finally:
        if own is not None:  # gunicorn's, which can't seek; it looks for it when it answers
            request.environ["wsgi.file_wrapper"] = own


def saved_name(name: str) -> str:
    """A name to save a file under: no folders, no controls, nothing that turns text around."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    printable = "".join(
        "_" if unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else letter
        for letter in last
    )
    return printable.strip(" .") or "download"
