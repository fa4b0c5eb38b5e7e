"""Builds JSON responses with ETags, which make polling an unchanged job cheap."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from flask import Response, request
from pydantic import BaseModel

from faces_jobs_web.operations import JSON


def document_response(
    document: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a document as a JSON response; 304 for a GET whose If-None-Match is current."""
    body = document.model_dump_json().encode()
    response = Response(body, status, content_type=JSON, headers=dict(headers or {}))
    if request.method in {"GET", "HEAD"} and status == 200:
        response.set_etag(hashlib.sha256(body).hexdigest()[:32])
        response.make_conditional(request)
    return response
