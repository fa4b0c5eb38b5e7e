"""Describes views as API operations; the OpenAPI document is generated from these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from pydantic import BaseModel

P = ParamSpec("P")
R = TypeVar("R")
Schema = Mapping[str, Any]

HTML = "text/html"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ResponseSpec:
    """A possible response: a document, or bytes of these media types, or no body."""

    description: str
    document: type[BaseModel] | None = None
    media_types: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)  # name to description


@dataclass(frozen=True, slots=True)
class Operation:
    """The inputs and responses of a view. Summary and description are the view's docstring."""

    tag: str
    responses: Mapping[int, ResponseSpec]
    query: type[BaseModel] | None = None
    bodies: Mapping[str, type[BaseModel] | Schema] = field(default_factory=dict)
    request_headers: Mapping[str, str] = field(default_factory=dict)  # name to description
    problems: tuple[int, ...] = ()  # statuses in addition to those of every operation
    public: bool = False  # needs no access token


_ATTRIBUTE = "operation_of_faces_jobs"


def describes(operation: Operation) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a view with its operation."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        setattr(view, _ATTRIBUTE, operation)
        return view

    return decorate


def operation_of(view: Callable[..., Any]) -> Operation | None:
    """Return a view's operation, or None if it has none."""
    operation: Operation | None = getattr(view, _ATTRIBUTE, None)
    return operation


def is_public(view: Callable[..., Any]) -> bool:
    """Return whether a view needs no access token."""
    operation = operation_of(view)
    return operation is not None and operation.public


def page(description: str) -> dict[int, ResponseSpec]:
    """Return the responses of a view that shows a page."""
    return {200: ResponseSpec(description, media_types=(HTML,))}
