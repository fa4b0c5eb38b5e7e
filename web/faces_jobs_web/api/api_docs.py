"""Documentation of the API: /api/v1/openapi.json, its HTML page, and the problem types."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, current_app, render_template
from pydantic import BaseModel, ConfigDict

from faces_jobs_web.api.answers import make_conditional
from faces_jobs_web.api.openapi import TAGS, openapi_document
from faces_jobs_web.errors import problem_codes
from faces_jobs_web.operations import JSON, Operation, ResponseSpec, describes, page
from faces_jobs_web.services import current_services

blueprint = Blueprint("api_docs", __name__)

EXTENSION = "faces_jobs_openapi"


class OpenApi(BaseModel):
    """An OpenAPI 3.1 document."""

    model_config = ConfigDict(extra="allow")

    openapi: str


@blueprint.get("/api/v1/openapi.json")
@describes(Operation(tag="server", responses={200: ResponseSpec("The OpenAPI document.", OpenApi)}))
def document() -> Response:
    """Return this API's OpenAPI 3.1 document."""
    response = Response(json.dumps(_document(), indent=1), content_type=JSON)
    response.add_etag()
    make_conditional(response)
    return response


@blueprint.get("/api/docs")
@describes(Operation(tag="pages", responses=page("The API documentation.")))
def show() -> str:
    """Show the API documentation."""
    api = _document()
    groups: dict[str, list[dict[str, Any]]] = {tag: [] for tag in TAGS if tag != "pages"}
    for path, operations in api["paths"].items():
        for method, operation in operations.items():
            if operation["tags"][0] in groups:
                groups[operation["tags"][0]].append(
                    {"method": method.upper(), "path": path, **operation}
                )
    return render_template(
        "api_docs.html", groups=groups, tags=TAGS, schemas=api["components"]["schemas"]
    )


@blueprint.get("/problems/<code>")
@describes(Operation(tag="pages", responses=page("The problem types."), public=True))
def problems(code: str) -> str:
    """Show the problem types. A problem's `type` is a link to this page."""
    return render_template("problems.html", codes=problem_codes(), selected=code)


def _document() -> dict[str, Any]:
    # Neither routes nor access change while an app runs, and generating it takes a tenth of a
    # second. Two first requests at the same time both generate it, which does no harm.
    kept: dict[str, Any] | None = current_app.extensions.get(EXTENSION)
    if kept is None:
        kept = openapi_document(current_app, with_token=not current_services().access.is_open)
        current_app.extensions[EXTENSION] = kept
    return kept
