"""A test client that holds every answer against the app's own OpenAPI document."""

from __future__ import annotations

import re
from typing import Any, cast

from flask import Flask
from flask.testing import FlaskClient
from openapi_schema_validator import OAS31Validator
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from faces_jobs_web.openapi import openapi_document

# Building the document takes longer than most tests; apps with the same routes have the same.
_documents: dict[tuple[str, ...], dict[str, Any]] = {}


def _document_of(app: Flask) -> dict[str, Any]:
    routes = tuple(rule.rule for rule in app.url_map.iter_rules())
    if routes not in _documents:
        _documents[routes] = openapi_document(app, with_token=True)
    return _documents[routes]


class Answer(TestResponse):
    """A response whose JSON a test looks into without asking first whether there is any."""

    @property
    def json(self) -> Any:
        """The decoded body."""
        return self.get_json()


class WebClient(FlaskClient):
    """Fails a test whose answer the OpenAPI document does not describe."""

    def get(self, *args: Any, **kwargs: Any) -> Answer:
        """Send a GET."""
        return self.open(*args, **kwargs, method="GET")

    def post(self, *args: Any, **kwargs: Any) -> Answer:
        """Send a POST."""
        return self.open(*args, **kwargs, method="POST")

    def open(self, *args: Any, **kwargs: Any) -> Answer:
        """Send a request as `FlaskClient` does, then check the answer."""
        kwargs.setdefault("buffered", True)  # reads and closes files that are sent
        response = super().open(*args, **kwargs)
        self._check(response)
        return cast("Answer", response)

    def _check(self, response: TestResponse) -> None:
        request = response.request
        try:
            rule, _ = self.application.url_map.bind("localhost").match(
                request.path, method=request.method, return_rule=True
            )
        except HTTPException:
            return  # no route: nothing is described
        if rule.endpoint == "static":
            return
        document = _document_of(self.application)
        path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
        method = "get" if request.method == "HEAD" else request.method.lower()
        operation = document["paths"][path].get(method)
        if operation is None or operation["tags"] == ["pages"]:
            return  # pages are for people; their errors are pages too
        described = operation["responses"].get(str(response.status_code))
        assert described is not None, f"{method} {path} does not describe {response.status_code}"
        if response.status_code in {204, 304} or request.method == "HEAD":
            assert not response.data
            return
        content = described["content"]
        if response.mimetype not in content:
            assert "application/octet-stream" in content, (
                f"{method} {path} answers {response.status_code} as {response.mimetype}"
            )
            return
        schema = content[response.mimetype].get("schema")
        if schema is not None:
            whole = {**schema, "components": document["components"]}
            OAS31Validator(whole).validate(response.json)


def client_of(app: Flask) -> WebClient:
    """A new client: a browser or program of its own."""
    client = app.test_client()
    assert isinstance(client, WebClient)
    return client
