"""What a view says about itself, written beside it: the source of the OpenAPI document."""

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
PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ResponseSpec:
    """One kind of answer: a document, or bytes of these media types, or nothing."""

    description: str
    document: type[BaseModel] | None = None
    media_types: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)  # name to description


@dataclass(frozen=True, slots=True)
class Operation:
    """What one view takes and gives. Summary and description are the view's docstring."""

    tag: str
    responses: Mapping[int, ResponseSpec]
    query: type[BaseModel] | None = None
    bodies: Mapping[str, type[BaseModel] | Schema] = field(default_factory=dict)
    request_headers: Mapping[str, str] = field(default_factory=dict)  # name to description
    problems: tuple[int, ...] = ()  # statuses besides those that any operation may give
    public: bool = False  # answered without an access token


_ATTRIBUTE = "operation_of_faces_jobs"


def describes(operation: Operation) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Fasten an operation to a view."""

    def fasten(view: Callable[P, R]) -> Callable[P, R]:
        setattr(view, _ATTRIBUTE, operation)
        return view

    return fasten


def operation_of(view: Callable[..., Any]) -> Operation | None:
    """The operation fastened to a view, if any."""
    operation: Operation | None = getattr(view, _ATTRIBUTE, None)
    return operation


def is_public(view: Callable[..., Any]) -> bool:
    """True for views that are answered without an access token."""
    operation = operation_of(view)
    return operation is not None and operation.public


def page(description: str, *, status: int = 200) -> dict[int, ResponseSpec]:
    """The answers of a view that shows a page."""
    return {status: ResponseSpec(description, media_types=(HTML,))}
