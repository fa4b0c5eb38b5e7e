"""Documents as responses: JSON with an ETag, so that polling a job that stands still is cheap."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from flask import Response, request
from pydantic import BaseModel

from faces_jobs_web.operations import JSON


def document_response(
    document: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A document as JSON. Answers 304 to a GET that names the ETag it already has."""
    body = document.model_dump_json().encode()
    response = Response(body, status, content_type=JSON, headers=dict(headers or {}))
    if request.method in {"GET", "HEAD"} and status == 200:
        response.set_etag(hashlib.sha256(body).hexdigest()[:32])
        response.make_conditional(request)
    return response
