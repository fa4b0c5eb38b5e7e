"""/api/v1/jobs/<job>/artifacts: the files created for a job, and their download.

Downloads are safe to open: they have the media type recorded when the server created the file,
sniffing is disabled, browsers save rather than display them, and their content policy forbids
scripts. Only images and videos that the server created can be displayed inline.
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
from faces_jobs_web.api.answers import document_response
from faces_jobs_web.api.queries import ArtifactFilters, DownloadFilters, read_filters
from faces_jobs_web.operations import Operation, ResponseSpec, describes
from faces_jobs_web.services import current_services

blueprint = Blueprint("artifacts", __name__, url_prefix="/api/v1/jobs/<job_id>/artifacts")

INLINE_KINDS = frozenset({"annotated_image", "annotated_video", "thumbnail"})
INLINE_MEDIA_TYPES = frozenset(
    {"image/bmp", "image/gif", "image/jpeg", "image/png", "image/webp", "video/mp4"}
)
DOWNLOAD_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"
# Requests for several ranges, or for units other than bytes, may be answered with the whole file.
SINGLE_RANGE = re.compile(r"bytes=(\d+-\d*|-\d+)")
SUFFIX_RANGE = re.compile(r"bytes=-(\d+)")

_HEADERS = {
    "ETag": "The SHA-256 of the file.",
    "Content-Disposition": "The file name.",
    "Accept-Ranges": "`bytes`.",
}


@blueprint.get("")
@describes(
    Operation(
        tag="artifacts",
        query=ArtifactFilters,
        responses={200: ResponseSpec("Artifacts in order of creation.", ArtifactPage)},
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
            "If-Range": "An ETag: the range is returned only if it is still the file's ETag.",
        },
        responses={
            200: ResponseSpec(
                "The file.", media_types=("application/octet-stream",), headers=_HEADERS
            ),
            206: ResponseSpec(
                "The range that was requested.",
                media_types=("application/octet-stream",),
                headers={**_HEADERS, "Content-Range": "The range, and the size of the file."},
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
    is_inline = (
        filters.inline
        and artifact.kind in INLINE_KINDS
        and artifact.media_type in INLINE_MEDIA_TYPES
    )
    try:
        _check_conditions(artifact.sha256, opened.stored.modified)
        _clamp_suffix_range(opened.stored.bytes)
    except PreconditionFailed:
        opened.stored.file.close()
        raise
    response = _send_file(
        opened.stored.file,
        mimetype=artifact.media_type,
        as_attachment=not is_inline,
        download_name=safe_filename(artifact.name),
        etag=artifact.sha256,
        last_modified=opened.stored.modified,
    )
    response.headers["Content-Type"] = artifact.media_type  # Flask adds a second charset to text
    response.content_length = opened.stored.bytes
    try:
        response.make_conditional(
            request.environ, accept_ranges=True, complete_length=opened.stored.bytes
        )
    except HTTPException:  # the range is outside the file
        opened.stored.file.close()
        raise
    response.headers["Content-Security-Policy"] = DOWNLOAD_POLICY
    # Artifacts never change but can be deleted, so caches revalidate, which the ETag makes cheap.
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _check_conditions(sha256: str, modified: datetime) -> None:
    """Evaluate preconditions in the order of RFC 9110, 13.2.2, which Werkzeug does not follow.

    Removes from the request what was decided here; Werkzeug decides the rest: whether the
    response is a 304, and a single range.

    Raises:
        PreconditionFailed: If-Match or If-Unmodified-Since does not match this file.
    """
    etags, unmodified_since = request.if_match, request.if_unmodified_since
    if etags:
        failed = sha256 not in etags
    else:
        failed = unmodified_since is not None and modified.replace(microsecond=0) > unmodified_since
    if failed:
        raise PreconditionFailed("The file is not the one that the request names: reload it.")
    environ = request.environ
    environ.pop("HTTP_IF_MATCH", None)
    is_modified = is_resource_modified(environ, etag=quote_etag(sha256), last_modified=modified)
    is_single = SINGLE_RANGE.fullmatch(request.headers.get("Range", ""))
    # A weak ETag never allows a range (RFC 9110, 13.1.5).
    if not is_modified or not is_single or request.headers.get("If-Range", "").startswith("W/"):
        environ.pop("HTTP_RANGE", None)


def _clamp_suffix_range(length: int) -> None:
    """Treat a suffix range longer than the file as the whole file (RFC 9110, 14.1.2).

    Werkzeug refuses such ranges.
    """
    match = SUFFIX_RANGE.fullmatch(request.headers.get("Range", ""))
    if match is None or length == 0:
        return
    # Compared as zero-padded text, since int() refuses more than 4,300 digits.
    requested, available = match[1], str(length)
    digits = max(len(requested), len(available))
    if requested.rjust(digits, "0") > available.rjust(digits, "0"):
        request.environ["HTTP_RANGE"] = "bytes=0-"


def _send_file(file: BinaryIO, **options: Any) -> Response:
    """Call `send_file`, without gunicorn's file wrapper if a range is requested.

    That wrapper can't seek, so Werkzeug would read everything before the range.
    """
    is_partial = "Range" in request.headers
    wrapper = request.environ.pop("wsgi.file_wrapper", None) if is_partial else None
    try:
        return send_file(file, **options)
    finally:
        if wrapper is not None:  # gunicorn needs it when it sends the response
            request.environ["wsgi.file_wrapper"] = wrapper


def safe_filename(name: str) -> str:
    """Return the last part of a name, without control, formatting and bidirectional characters."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    printable = "".join(
        "_" if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else character
        for character in last
    )
    return printable.strip(" .") or "download"
