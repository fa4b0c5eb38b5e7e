"""The connection to one server: sends requests, reads documents, and names what went wrong."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, SecretStr, ValidationError

from faces_jobs.certificates import client_ssl_context
from faces_jobs.errors import NotFoundError, ServerError
from faces_jobs.jobs.query import MAX_PAGE_SIZE

# Connecting succeeds at once or not at all. Writing has no limit: uploads may be slow.
TIMEOUT = httpx.Timeout(60.0, connect=5.0, write=None)
# A submission is answered once it is stored: minutes for thousands of files in a bucket.
SUBMISSION_TIMEOUT = httpx.Timeout(1800.0, connect=5.0, write=None)

DocumentType = TypeVar("DocumentType", bound=BaseModel)
Parameters = Mapping[str, str | int | float | Sequence[str]]


class Connection:
    """A connection to one server, kept open between requests. Its methods raise `ServerError`."""

    def __init__(self, server: str, *, access_token: SecretStr | None) -> None:
        headers = {"Accept": "application/json"}
        if access_token is not None:
            headers["Authorization"] = f"Bearer {access_token.get_secret_value()}"
        self.server = server
        # No proxy from the environment: the user named the server that is to be reached.
        self._http = httpx.Client(
            base_url=server,
            headers=headers,
            timeout=TIMEOUT,
            trust_env=False,
            verify=_ssl_context_for(server),
        )

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send a request and return the response, whatever its status.

        Raises:
            ServerError: the server does not respond.
        """
        with self._errors_named():
            return self._http.request(method, path, **request)

    def request(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send a request and return the response, which is a success.

        Raises:
            NotFoundError: what was asked for does not exist.
            ServerError: the server refused the request or does not respond.
        """
        response = self.send(method, path, **request)
        if not response.is_success:
            raise self.error_of(response)
        return response

    @contextmanager
    def stream(self, url: str) -> Iterator[httpx.Response]:
        """Open a response, which is a success, to read it piece by piece.

        Raises:
            NotFoundError: what was asked for does not exist.
            ServerError: the server refused the request or does not respond.
        """
        with self._errors_named(), self._http.stream("GET", url) as response:
            if not response.is_success:
                response.read()
                raise self.error_of(response)
            yield response

    def get(
        self, document: type[DocumentType], path: str, parameters: Parameters | None = None
    ) -> DocumentType:
        """Get a document; raises as `request`."""
        return self.read(document, self.request("GET", path, params=dict(parameters or {})))

    def pages(
        self, document: type[DocumentType], path: str, parameters: Parameters
    ) -> Iterator[DocumentType]:
        """Get the pages of a list, one after the other; raises as `request`."""
        page_parameters: dict[str, Any] = {"limit": MAX_PAGE_SIZE, **parameters}
        while True:
            page = self.get(document, path, page_parameters)
            yield page
            cursor = getattr(page, "next_cursor", None)
            if cursor is None:
                return
            page_parameters["cursor"] = cursor

    def read(self, document: type[DocumentType], response: httpx.Response) -> DocumentType:
        """Read the document in a response.

        Raises:
            ServerError: it is not this document, so the server is another.
        """
        try:
            return document.model_validate_json(response.content)
        except ValidationError as error:
            raise self._wrong_server_error() from error

    def error_of(self, response: httpx.Response) -> ServerError | NotFoundError:
        """The error that a response describes."""
        try:
            problem = response.json()
        except ValueError:
            problem = {}
        if not isinstance(problem, dict):
            problem = {}
        detail = problem.get("detail") or problem.get("title") or response.reason_phrase
        if response.status_code == httpx.codes.NOT_FOUND:
            return NotFoundError(str(detail)) if "code" in problem else self._wrong_server_error()
        return ServerError(
            f"The server refused the request ({response.status_code}): {detail}",
            status=response.status_code,
            problem=problem,
        )

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        """Convert connection errors into a ServerError that names the server."""
        try:
            yield
        except (httpx.TransportError, httpx.InvalidURL) as error:
            # With the reason: a server whose certificate is not trusted does respond.
            reason = str(error) or type(error).__name__
            raise ServerError(
                f"No faces_jobs server responds at {self.server} ({reason}): "
                "start one with `faces-jobs up`, or set FACES_JOBS_SERVER_URL.",
                status=0,
                problem={},
            ) from error

    def _wrong_server_error(self) -> ServerError:
        return ServerError(
            f"The server at {self.server} is not faces_jobs, or has another version: "
            "correct FACES_JOBS_SERVER_URL.",
            status=0,
            problem={},
        )


def _ssl_context_for(server: str) -> ssl.SSLContext:
    if server.lower().startswith("https:"):
        return client_ssl_context()
    # Without certificates: to load them would delay every command noticeably.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
