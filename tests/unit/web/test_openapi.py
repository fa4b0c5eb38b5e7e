"""The OpenAPI document, the page that shows it, and docs/api.md, which must agree with it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import validate

from faces_jobs.jobs.labels import HEADS
from faces_jobs.jobs.spec import JobSpec
from faces_jobs_web.api import api_docs
from faces_jobs_web.api.openapi import UndescribedViewError, openapi_document
from faces_jobs_web.errors import problem_codes
from tests.unit.web.conforming import WebClient

DOCS = Path(__file__).parents[3] / "docs" / "api.md"


@pytest.fixture
def document(client: WebClient) -> dict[str, Any]:
    response = client.get("/api/v1/openapi.json")
    assert response.status_code == 200
    return dict(response.json)


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_every_route_is_described(app: Flask, document: dict[str, Any]) -> None:
    routes = {
        (re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "static"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {
        (path, method) for path, operations in document["paths"].items() for method in operations
    }
    assert described == routes
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["summary"].endswith("."), path
            assert operation["responses"], path


def test_a_view_without_an_operation_is_an_error(app: Flask) -> None:
    app.add_url_rule("/forgotten", view_func=lambda: "", endpoint="forgotten")
    with pytest.raises(UndescribedViewError, match="forgotten"):
        openapi_document(app, with_token=False)


def test_faces_have_a_filter_for_every_attribute(document: dict[str, Any]) -> None:
    for path in ("/api/v1/faces", "/api/v1/jobs/{job_id}/faces", "/api/v1/jobs/{job_id}/tracks"):
        parameters = {one["name"]: one for one in document["paths"][path]["get"]["parameters"]}
        for head, labels in HEADS.items():
            assert parameters[head]["schema"]["items"]["enum"] == [*labels, "unsure"]
            assert f"{head}_min_probability" in parameters
            assert f"{head}_max_probability" in parameters


def test_every_json_response_has_an_etag_and_supports_conditions(
    client: WebClient, document: dict[str, Any]
) -> None:
    for path, operations in document["paths"].items():
        responses = operations.get("get", {}).get("responses", {})
        if "{" in path or "application/json" not in responses.get("200", {}).get("content", {}):
            continue
        if path == "/readyz":
            continue  # not ready: there is no worker
        first = client.get(path)
        assert first.status_code == 200, path
        assert "ETag" in responses["200"]["headers"], path
        # The client checks that the document describes this response.
        tag = first.headers["ETag"]
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 304, path
        for known, status in ((tag, 200), ("*", 200), ('"another"', 412)):
            assert client.get(path, headers={"If-Match": known}).status_code == status, path


def test_an_attribute_is_a_label_or_unsure(document: dict[str, Any]) -> None:
    label = document["components"]["schemas"]["AttributeDocument"]["properties"]["label"]
    assert set(label["enum"]) == {*(name for labels in HEADS.values() for name in labels), "unsure"}


def test_submission_describes_every_option(document: dict[str, Any]) -> None:
    content = document["paths"]["/api/v1/jobs"]["post"]["requestBody"]["content"]
    form = content["multipart/form-data"]["schema"]["properties"]
    assert set(form) == {"files", "models", *JobSpec.model_fields}
    options = document["components"]["schemas"]["OptionsInput"]["properties"]
    assert set(options) == {"models", *JobSpec.model_fields}


def test_operations_require_a_token_only_if_one_is_configured(
    guarded: Flask, document: dict[str, Any]
) -> None:
    with_token = openapi_document(guarded, with_token=True)
    jobs = "/api/v1/jobs"
    assert document["paths"][jobs]["get"]["security"] == []
    assert "security" not in with_token["paths"][jobs]["get"]
    assert with_token["paths"]["/healthz"]["get"]["security"] == []


class PageParser(HTMLParser):
    """Collects the addresses that a page loads, and its inline scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        address = attributes.get("src") or (attributes.get("href") if tag == "link" else None)
        if address:
            self.addresses.append(address)
        if tag == "style" or (tag == "script" and "src" not in attributes) or "style" in attributes:
            self.inline.append(tag)
        self.inline += [name for name in attributes if name.startswith("on")]


def test_the_docs_page_shows_every_operation_and_loads_nothing_from_elsewhere(
    client: WebClient, document: dict[str, Any]
) -> None:
    page = client.get("/api/docs").text
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if operation["tags"] != ["pages"]:
                assert f'id="{operation["operationId"]}"' in page, path
    parser = PageParser()
    parser.feed(page)
    assert all(address.startswith("/static/") for address in parser.addresses)
    assert parser.inline == []


def test_the_document_is_generated_only_once(
    client: WebClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = client.get("/api/v1/openapi.json")
    monkeypatch.delattr(api_docs, "openapi_document")
    assert client.get("/api/v1/openapi.json").data == first.data
    assert client.get("/api/docs").status_code == 200


def test_the_written_docs_name_every_route_of_the_api(document: dict[str, Any]) -> None:
    text = DOCS.read_text(encoding="utf-8")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if operation["tags"] != ["pages"]:
                line = f"{method.upper()} {path}"
                assert re.search(rf"^#+ `{re.escape(line)}`$", text, re.MULTILINE), line


def test_the_written_docs_name_every_page(document: dict[str, Any]) -> None:
    text = DOCS.read_text(encoding="utf-8")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if operation["tags"] == ["pages"]:
                assert f"`{method.upper()} {path}`" in text


def test_the_written_docs_name_every_kind_of_problem() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for code, (status, title) in problem_codes().items():
        assert f"| `{code}` | {status} | {title} |" in text, code
