"""Generates the OpenAPI 3.1 document from the app's routes and the operations of its views.

APIFlask was tried and rejected: with Pydantic models it loses repeated query parameters, writes
dangling references for problem+json, and duplicates nested models for each of their parents.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from werkzeug.routing import Rule

from faces_jobs_web.errors import Problem
from faces_jobs_web.guard import LOGIN_COOKIE
from faces_jobs_web.operations import JSON, PROBLEM, Operation, ResponseSpec, operation_of

REFERENCE = "#/components/schemas/{model}"
TAGS = {
    "jobs": "Submit, follow, control and delete jobs.",
    "results": "Items, tracks and faces, with filters.",
    "artifacts": "Files created for a job.",
    "server": "Health, metrics, and what this server offers.",
    "pages": "The web pages, for people.",
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PROBLEM_REASONS = {
    400: "The request is malformed.",
    401: "An access token is required, and is missing or wrong.",
    403: "The request comes from a page of another site, or its form token is missing.",
    404: "There is no such job, item, track or artifact.",
    408: "The body stopped arriving, or arrived too slowly.",
    409: "Not possible in this state, or the idempotency key was used for another submission.",
    412: "It does not match `If-Match` or, for a file, `If-Unmodified-Since`.",
    413: "The body is larger than the server accepts.",
    415: "The file is neither an image nor a video by its content.",
    416: "The range is outside the file.",
    421: "The Host header names a host that this server does not serve.",
    422: "Parameters, options, folder or files are invalid; `fields` says why.",
    429: "The queue is full. Try again after `Retry-After` seconds.",
    500: "Internal error; the server's log has details under the problem's `id`.",
    503: "The service is unavailable or busy. Try again after `Retry-After` seconds.",
    507: "The server has no disk space left.",
}
_ETAG = {"ETag": "Changes when the response does."}
_IF_NONE_MATCH = {"If-None-Match": "The ETag of the last response; unchanged, it is a 304."}
_UNCHANGED = ResponseSpec("Nothing has changed since the ETag in If-None-Match.")
COMMON_PROBLEMS = (400, 401, 421, 422, 500, 503)  # of every operation of the API
References = Mapping[Any, dict[str, Any]]
"""References to schemas, by (model, mode)."""


class UndescribedViewError(Exception):
    """A view has no `describes` decorator: a bug in the view."""


def described_rules(app: Flask) -> Iterator[tuple[Rule, str, Operation]]:
    """Yield every route of the app with each of its methods and its operation, ordered by path.

    Raises:
        UndescribedViewError: a view has no operation.
    """
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: (rule.rule, rule.endpoint)):
        if rule.endpoint == "static":
            continue  # not part of the API
        operation = operation_of(app.view_functions[rule.endpoint])
        if operation is None:
            raise UndescribedViewError(f"The view of {rule.endpoint} has no operation.")
        for method in METHODS:
            if method in (rule.methods or ()):
                yield rule, method, operation


def openapi_document(app: Flask, *, with_token: bool) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the app's routes.

    `with_token` says whether this server requires an access token.
    """
    schemas = _Schemas()
    for _, _, operation in described_rules(app):
        schemas.collect(operation)
    references, components = schemas.generate()
    paths: dict[str, dict[str, Any]] = {}
    for rule, method, operation in described_rules(app):
        view = app.view_functions[rule.endpoint]
        summary, _, description = inspect.cleandoc(view.__doc__ or "").partition("\n\n")
        description = description.split("Raises:")[0].strip()
        path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
        paths.setdefault(path, {})[method.lower()] = {
            "operationId": rule.endpoint.replace(".", "_"),
            "tags": [operation.tag],
            "summary": " ".join(summary.split()),
            **({"description": description} if description else {}),
            "parameters": _parameters(rule, _with_conditions(method, operation), components),
            **_request_body(operation, references),
            "responses": _responses(_with_conditions(method, operation), references),
            **({"security": []} if operation.public or not with_token else {}),
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "faces_jobs",
            "version": version("faces-jobs"),
            "description": "Face attributes in video and photographs. "
            "Errors are problem+json (RFC 9457) with a stable `type`.",
        },
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "security": [{"token": []}, {"login": []}],
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "login": {"type": "apiKey", "in": "cookie", "name": LOGIN_COOKIE},
            },
        },
    }


def _with_conditions(method: str, operation: Operation) -> Operation:
    """Add what every GET of a document has: an ETag, If-None-Match, and the responses to it."""
    ok = operation.responses.get(200)
    if method != "GET" or ok is None or ok.document is None:
        return operation
    tagged = replace(ok, headers={**_ETAG, **ok.headers})
    return replace(
        operation,
        responses={200: tagged, 304: _UNCHANGED} | {**operation.responses, 200: tagged},
        request_headers={**_IF_NONE_MATCH, **operation.request_headers},
        problems=(*operation.problems, 412),
    )


class _Schemas:
    """Collects the models of all operations, so that each is defined once."""

    def __init__(self) -> None:
        self._models: list[tuple[type[BaseModel], JsonSchemaMode]] = []

    def collect(self, operation: Operation) -> None:
        for body in operation.bodies.values():
            if isinstance(body, type):
                self._add(body, "validation")
        if operation.query is not None:
            self._add(operation.query, "validation")
        for response in operation.responses.values():
            if response.document is not None:
                self._add(response.document, "serialization")

    def generate(self) -> tuple[References, dict[str, Any]]:
        self._add(Problem, "serialization")
        references, definitions = models_json_schema(self._models, ref_template=REFERENCE)
        return references, definitions["$defs"]

    def _add(self, model: type[BaseModel], mode: JsonSchemaMode) -> None:
        if (model, mode) not in self._models:
            self._models.append((model, mode))


def _parameters(
    rule: Rule, operation: Operation, components: Mapping[str, Any]
) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "integer" if f"row:{name}" in rule.rule else "string"},
        }
        for name in sorted(rule.arguments, key=rule.rule.index)
    ]
    if operation.query is not None:
        for name, schema in components[operation.query.__name__].get("properties", {}).items():
            bare_schema = {key: value for key, value in schema.items() if key != "description"}
            parameters.append(
                {
                    "name": name,
                    "in": "query",
                    "required": False,
                    "description": schema.get("description", ""),
                    "schema": bare_schema,
                }
            )
    parameters.extend(
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": text,
            "schema": {"type": "string"},
        }
        for name, text in operation.request_headers.items()
    )
    return parameters


def _request_body(operation: Operation, references: References) -> dict[str, Any]:
    if not operation.bodies:
        return {}
    content = {
        media_type: {
            "schema": references[body, "validation"] if isinstance(body, type) else dict(body)
        }
        for media_type, body in operation.bodies.items()
    }
    return {"requestBody": {"required": True, "content": content}}


def _responses(operation: Operation, references: References) -> dict[str, Any]:
    responses = {
        str(status): _response(spec, references) for status, spec in operation.responses.items()
    }
    if operation.tag == "pages":
        return responses
    problem = {PROBLEM: {"schema": references[Problem, "serialization"]}}
    for status in sorted({*COMMON_PROBLEMS, *operation.problems}):
        responses[str(status)] = {"description": PROBLEM_REASONS[status], "content": problem}
    return responses


def _response(spec: ResponseSpec, references: References) -> dict[str, Any]:
    response: dict[str, Any] = {"description": spec.description}
    if spec.headers:
        response["headers"] = {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in spec.headers.items()
        }
    if spec.document is not None:
        schema = references[spec.document, "serialization"]
        response["content"] = {JSON: {"schema": schema}}
    elif spec.media_types:
        response["content"] = {media_type: {} for media_type in spec.media_types}
    return response
