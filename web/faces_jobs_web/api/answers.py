"""Builds JSON responses with ETags, which make polling an unchanged job cheap."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from flask import Response, request
from pydantic import BaseModel
from werkzeug.exceptions import PreconditionFailed

from faces_jobs_web.operations import JSON


def document_response(
    document: BaseModel,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    version: str | None = None,
) -> Response:
    """Return a document as a JSON response; 304 for a GET whose If-None-Match is current.

    `version` is the ETag of a document of which some members may change without a new version.

    Raises:
        PreconditionFailed: see `make_conditional`.
    """
    body = document.model_dump_json().encode()
    response = Response(body, status, content_type=JSON, headers=dict(headers or {}))
    if request.method in {"GET", "HEAD"} and status == 200:
        if version is None:
            response.set_etag(hashlib.sha256(body).hexdigest()[:32])
        else:
            response.set_etag(version, weak=True)
        make_conditional(response)
    return response


def make_conditional(response: Response) -> None:
    """Turn a response with an ETag into a 304 if the request's If-None-Match names it.

    Raises:
        PreconditionFailed: the request's If-Match names something else. Werkzeug would send the
            document as a 412, and doesn't know that `*` is everything (RFC 9110, 13.1.1).
    """
    etag, is_weak = response.get_etag()
    wanted = request.if_match
    # A weak ETag never matches here, since it does not stand for the very bytes.
    is_wanted = wanted.star_tag or (etag is not None and not is_weak and etag in wanted)
    if wanted and not is_wanted:
        raise PreconditionFailed("This has changed since the ETag in If-Match: load it again.")
    request.environ.pop("HTTP_IF_MATCH", None)
    response.make_conditional(request)
