"""A test client that validates every response against the app's own OpenAPI document."""

from __future__ import annotations

import re
from typing import Any, cast

from flask import Flask
from flask.testing import FlaskClient
from openapi_schema_validator import OAS31Validator
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from faces_jobs_web.api.openapi import openapi_document

# Building the document takes longer than most tests; apps with the same routes share it.
_documents: dict[tuple[str, ...], dict[str, Any]] = {}


def _document_of(app: Flask) -> dict[str, Any]:
    routes = tuple(rule.rule for rule in app.url_map.iter_rules())
    if routes not in _documents:
        _documents[routes] = openapi_document(app, with_token=True)
    return _documents[routes]


class JsonResponse(TestResponse):
    """A response whose `json` is typed so that tests can index it without a check for None."""

    @property
    def json(self) -> Any:
        """The decoded JSON body."""
        return self.get_json()


class WebClient(FlaskClient):
    """Fails a test if the OpenAPI document does not describe a response."""

    def get(self, *args: Any, **kwargs: Any) -> JsonResponse:
        """Send a GET."""
        return self.open(*args, **kwargs, method="GET")

    def post(self, *args: Any, **kwargs: Any) -> JsonResponse:
        """Send a POST."""
        return self.open(*args, **kwargs, method="POST")

    def open(self, *args: Any, **kwargs: Any) -> JsonResponse:
        """Send a request as `FlaskClient` does, then validate the response."""
        # Reads files that are sent to their end, and closes them.
        kwargs.setdefault("buffered", True)
        response = super().open(*args, **kwargs)
        self._check(response)
        return cast("JsonResponse", response)

    def _check(self, response: TestResponse) -> None:
        request = response.request
        try:
            rule, _ = self.application.url_map.bind("localhost").match(
                request.path, method=request.method, return_rule=True
            )
        except HTTPException:
            return  # there is no such route, so the document says nothing
        if rule.endpoint == "static":
            return
        document = _document_of(self.application)
        path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
        method = "get" if request.method == "HEAD" else request.method.lower()
        operation = document["paths"][path].get(method)
        if operation is None or operation["tags"] == ["pages"]:
            return  # pages and their errors are HTML
        described = operation["responses"].get(str(response.status_code))
        assert described is not None, f"{method} {path} does not describe {response.status_code}"
        if response.status_code in {204, 304} or request.method == "HEAD":
            assert not response.data
            return
        content = described["content"]
        if response.mimetype not in content:
            assert "application/octet-stream" in content, (
                f"{method} {path} describes no {response.mimetype} for {response.status_code}"
            )
            return
        schema = content[response.mimetype].get("schema")
        if schema is not None:
            whole = {**schema, "components": document["components"]}
            OAS31Validator(whole).validate(response.json)


def client_of(app: Flask) -> WebClient:
    """A new client with its own cookies."""
    client = app.test_client()
    assert isinstance(client, WebClient)
    return client
