"""HTTP client of the API, as the command line uses it: one method per operation."""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, SecretStr, ValidationError

from faces_jobs.certificates import client_ssl_context
from faces_jobs.errors import NotFoundError, ServerError
from faces_jobs.file_to_send import FileToSend
from faces_jobs.jobs.documents import (
    ArtifactDocument,
    ArtifactPage,
    AuditDocument,
    AuditPage,
    FaceDocument,
    FacePage,
    ItemDocument,
    ItemPage,
    JobDocument,
    JobPage,
    TrackDocument,
    TrackPage,
)
from faces_jobs.jobs.query import MAX_PAGE_SIZE

API = "/api/v1"
OCTETS = "application/octet-stream"
DOWNLOAD_CHUNK = 1 << 20
LONG_POLL_SECONDS = 20
RETRY_DELAY_SECONDS = 1.0
# A restart of the server takes less than this; whoever follows a job waits for it.
RECONNECT_FOR_SECONDS = 60.0
# Connecting succeeds at once or not at all. Writing has no limit: uploads may be slow.
TIMEOUT = httpx.Timeout(60.0, connect=5.0, write=None)

DocumentType = TypeVar("DocumentType", bound=BaseModel)
Parameters = Mapping[str, str | int | float | Sequence[str]]


class Client:
    """Client of one faces_jobs server; a context manager."""

    def __init__(self, server: str, *, access_token: SecretStr | None = None) -> None:
        headers = {"Accept": "application/json"}
        if access_token is not None:
            headers["Authorization"] = f"Bearer {access_token.get_secret_value()}"
        self._server = server
        # No proxy from the environment: the user named the server that is to be reached.
        self._http = httpx.Client(
            base_url=server,
            headers=headers,
            timeout=TIMEOUT,
            trust_env=False,
            verify=_ssl_context_for(server),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    @property
    def server(self) -> str:
        """The server's base URL, for links shown to the user."""
        return self._server

    def is_up(self) -> bool:
        """True if the server passes its health check."""
        try:
            return self._http.get("/healthz").is_success
        except httpx.TransportError:
            return False

    def submit_files(
        self,
        files: Sequence[tuple[str, Path]],
        options: Mapping[str, str],
        *,
        idempotency_key: str | None = None,
        owner: str = "",
        on_sent: Callable[[int], object] | None = None,
    ) -> JobDocument:
        """Submit files, each a relative name and a path. They are streamed from disk.

        `on_sent` is called with each number of bytes that are sent.

        Raises:
            ServerError: the server refused the submission or does not respond.
        """
        with ExitStack() as opened:
            parts = [
                (
                    "files",
                    (name, opened.enter_context(FileToSend(path, on_read=on_sent)), OCTETS),
                )
                for name, path in files
            ]
            return self._submit({"files": parts, "data": dict(options)}, idempotency_key, owner)

    def submit_folder(
        self,
        root: str,
        path: str,
        options: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        owner: str = "",
    ) -> JobDocument:
        """Submit a folder on the server, below one of its roots.

        Raises:
            ServerError: the server refused the submission or does not respond.
        """
        body = {"root": root, "path": path, "options": dict(options)}
        return self._submit({"json": body}, idempotency_key, owner)

    def job(self, job_id: str) -> JobDocument:
        """Get a job.

        Raises:
            NotFoundError: there is no such job.
        """
        return self._get(JobDocument, _job_path(job_id))

    def follow(self, job_id: str) -> Iterator[JobDocument]:
        """Yield a job at once and each time that it changes, until it has ended (by long polling).

        If the server stops responding, the connection is retried for RECONNECT_FOR_SECONDS.

        Raises:
            NotFoundError: there is no such job, or it was deleted meanwhile.
            ServerError: the server does not respond, or not again in time.
        """
        path = _job_path(job_id)
        headers: dict[str, str] = {}
        responded_at: float | None = None  # when the server last did
        while True:
            try:
                with self._connection_errors():
                    response = self._http.get(
                        path, params={"wait": LONG_POLL_SECONDS}, headers=headers
                    )
            except ServerError:
                if responded_at is None or time.monotonic() - responded_at > RECONNECT_FOR_SECONDS:
                    raise
                time.sleep(RETRY_DELAY_SECONDS)
                headers = {}
                continue
            responded_at = time.monotonic()
            if response.status_code == httpx.codes.SERVICE_UNAVAILABLE and headers:
                # Too many long polls are waiting: poll without waiting, as at first.
                time.sleep(RETRY_DELAY_SECONDS)
                headers = {}
            elif response.is_success:
                job = self._read(JobDocument, response)
                headers = {"If-None-Match": response.headers.get("ETag", "")}
                yield job
                if job.status.ended:
                    return
            elif response.status_code != httpx.codes.NOT_MODIFIED:
                raise self._error_of(response)

    def jobs(self, *, limit: int) -> JobPage:
        """The newest jobs, at most `limit`."""
        return self._get(JobPage, f"{API}/jobs", {"limit": limit})

    def items(self, job_id: str) -> Iterator[ItemDocument]:
        """All items of a job."""
        pages = self._pages(ItemPage, f"{_job_path(job_id)}/items", {})
        return (item for page in pages for item in page.items)

    def tracks(self, job_id: str, filters: Parameters | None = None) -> Iterator[TrackDocument]:
        """All tracks of a job that match the filters."""
        pages = self._pages(TrackPage, f"{_job_path(job_id)}/tracks", filters or {})
        return (track for page in pages for track in page.tracks)

    def faces(
        self, job_id: str | None, filters: Parameters | None = None
    ) -> Iterator[FaceDocument]:
        """All faces that match the filters, of one job or of all jobs."""
        path = f"{_job_path(job_id)}/faces" if job_id else f"{API}/faces"
        pages = self._pages(FacePage, path, filters or {})
        return (face for page in pages for face in page.faces)

    def artifacts(self, job_id: str) -> Iterator[ArtifactDocument]:
        """All artifacts of a job."""
        pages = self._pages(ArtifactPage, f"{_job_path(job_id)}/artifacts", {})
        return (artifact for page in pages for artifact in page.artifacts)

    def artifact_url(self, artifact: ArtifactDocument) -> str:
        """The URL from which an artifact is downloaded."""
        return f"{self._server}{_job_path(artifact.job_id)}/artifacts/{artifact.id}"

    def download(self, artifact: ArtifactDocument, folder: Path) -> Path:
        """Download an artifact into `folder` and return its path.

        It is written under a temporary name, and renamed once it is complete and verified.

        Raises:
            NotFoundError: the artifact or its file does not exist.
            ServerError: the bytes received are not those that the server recorded.
        """
        target = folder / Path(artifact.name).name
        part = target.with_name(target.name + ".part")
        try:
            with (
                self._connection_errors(),
                self._http.stream("GET", self.artifact_url(artifact)) as response,
            ):
                if not response.is_success:
                    response.read()
                    raise self._error_of(response)
                received, sha256 = 0, hashlib.sha256()
                with part.open("wb") as file:
                    for chunk in response.iter_bytes(DOWNLOAD_CHUNK):
                        received += file.write(chunk)
                        sha256.update(chunk)
            if received != artifact.bytes:
                raise _download_error(
                    f"{artifact.name} ended after {received} of {artifact.bytes} bytes: "
                    "download it again."
                )
            if sha256.hexdigest() != artifact.sha256:
                raise _download_error(
                    f"{artifact.name} is not the file that the server recorded (by its SHA-256): "
                    "download it again. If this happens again, the file on the server is damaged."
                )
            return part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def cancel(self, job_id: str) -> JobDocument:
        """Cancel a job.

        Raises:
            ServerError: the job has already ended.
        """
        return self._post_action(job_id, "cancel")

    def pause(self, job_id: str) -> JobDocument:
        """Pause a job until it is resumed.

        Raises:
            ServerError: the job has already ended.
        """
        return self._post_action(job_id, "pause")

    def resume(self, job_id: str) -> JobDocument:
        """Resume a job that is paused or waits for space.

        Raises:
            ServerError: the job has already ended.
        """
        return self._post_action(job_id, "resume")

    def delete(self, job_id: str) -> None:
        """Delete a job with its rows and files."""
        self._request("DELETE", _job_path(job_id))

    def retry(self, job_id: str) -> JobDocument:
        """Retry the files of an ended job that failed or were cancelled.

        Raises:
            ServerError: the job has not ended, or no file of it can be retried.
        """
        return self._post_action(job_id, "retry")

    def set_priority(self, job_id: str, priority: str) -> JobDocument:
        """Change the priority of a job.

        Raises:
            ServerError: the job has already ended, or there is no such priority.
        """
        response = self._request("PATCH", _job_path(job_id), json={"priority": priority})
        return self._read(JobDocument, response)

    def audit(self, job_id: str | None = None) -> Iterator[AuditDocument]:
        """The audit entries of deletions, newest first; of one job or of all jobs."""
        parameters: Parameters = {"job": job_id} if job_id else {}
        pages = self._pages(AuditPage, f"{API}/audit", parameters)
        return (entry for page in pages for entry in page.entries)

    def _post_action(self, job_id: str, action: str) -> JobDocument:
        response = self._request("POST", f"{_job_path(job_id)}/{action}")
        return self._read(JobDocument, response)

    def _submit(
        self, body: Mapping[str, Any], idempotency_key: str | None, owner: str
    ) -> JobDocument:
        # An empty key (of an unset shell variable) is sent, so that the server refuses it. Without
        # it, each repetition of the command would create another job.
        texts = {"Idempotency-Key": idempotency_key, "Faces-Owner": owner or None}
        # Bytes of the command line that are no valid text are sent unchanged: the server refuses
        # them and says why.
        headers = {
            name: value.encode("utf-8", "surrogateescape")
            for name, value in texts.items()
            if value is not None
        }
        response = self._request("POST", f"{API}/jobs", headers=headers, **body)
        return self._read(JobDocument, response)

    def _get(
        self, document: type[DocumentType], path: str, parameters: Parameters | None = None
    ) -> DocumentType:
        response = self._request("GET", path, params=dict(parameters or {}))
        return self._read(document, response)

    def _pages(
        self, document: type[DocumentType], path: str, parameters: Parameters
    ) -> Iterator[DocumentType]:
        page_parameters: dict[str, Any] = {"limit": MAX_PAGE_SIZE, **parameters}
        while True:
            page = self._get(document, path, page_parameters)
            yield page
            cursor = getattr(page, "next_cursor", None)
            if cursor is None:
                return
            page_parameters["cursor"] = cursor

    def _request(self, method: str, path: str, **request: Any) -> httpx.Response:
        with self._connection_errors():
            response = self._http.request(method, path, **request)
        if not response.is_success:
            raise self._error_of(response)
        return response

    @contextmanager
    def _connection_errors(self) -> Iterator[None]:
        """Convert connection errors into a ServerError that names the server."""
        try:
            yield
        except (httpx.TransportError, httpx.InvalidURL) as error:
            # With the reason: a server whose certificate is not trusted does respond.
            reason = str(error) or type(error).__name__
            raise ServerError(
                f"No faces_jobs server responds at {self._server} ({reason}): "
                "start one with `faces-jobs up`, or set FACES_JOBS_SERVER_URL.",
                status=0,
                problem={},
            ) from error

    def _read(self, document: type[DocumentType], response: httpx.Response) -> DocumentType:
        try:
            return document.model_validate_json(response.content)
        except ValidationError as error:
            raise self._wrong_server_error() from error

    def _error_of(self, response: httpx.Response) -> ServerError | NotFoundError:
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

    def _wrong_server_error(self) -> ServerError:
        return ServerError(
            f"The server at {self._server} is not faces_jobs, or has another version: "
            "correct FACES_JOBS_SERVER_URL.",
            status=0,
            problem={},
        )


def _download_error(message: str) -> ServerError:
    return ServerError(message, status=httpx.codes.OK, problem={})


def _job_path(job_id: str) -> str:
    return f"{API}/jobs/{quote(job_id, safe='', errors='replace')}"


def _ssl_context_for(server: str) -> ssl.SSLContext:
    if server.lower().startswith("https:"):
        return client_ssl_context()
    # Without certificates: to load them would delay every command noticeably.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
