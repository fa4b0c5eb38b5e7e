"""The HTTP client behind the command line: one method a question, documents for answers."""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, SecretStr, ValidationError

from faces_jobs.certificates import trusted_certificates
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
WAIT_SECONDS = 20
BUSY_SECONDS = 1.0
# A server that is started anew answers within this time; who follows a job waits for it.
AWAY_SECONDS = 60.0
# Connecting answers at once or not at all; an upload's answer comes after its last byte.
TIMEOUT = httpx.Timeout(60.0, connect=5.0, write=None)

DocumentType = TypeVar("DocumentType", bound=BaseModel)
Parameters = Mapping[str, str | int | float | Sequence[str]]


class Client:
    """Speaks to one faces_jobs server. Open it with `with`."""

    def __init__(self, server: str, *, access_token: SecretStr | None = None) -> None:
        headers = {"Accept": "application/json"}
        if access_token is not None:
            headers["Authorization"] = f"Bearer {access_token.get_secret_value()}"
        self._server = server
        # The server is named by the user: a proxy from the environment has no place between.
        self._http = httpx.Client(
            base_url=server,
            headers=headers,
            timeout=TIMEOUT,
            trust_env=False,
            verify=_certificates_for(server),
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
        """The base URL, for links that are shown to the user."""
        return self._server

    def is_up(self) -> bool:
        """True when the server answers its health check."""
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
    ) -> JobDocument:
        """Upload files under their relative names, streamed from disk.

        Raises:
            ServerError: the server refused the submission or does not answer.
        """
        with ExitStack() as opened:
            parts = [
                ("files", (name, opened.enter_context(FileToSend(path)), OCTETS))
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
        """Submit a folder below one of the server's roots.

        Raises:
            ServerError: the server refused the submission or does not answer.
        """
        body = {"root": root, "path": path, "options": dict(options)}
        return self._submit({"json": body}, idempotency_key, owner)

    def job(self, job_id: str) -> JobDocument:
        """One job.

        Raises:
            NotFoundError: there is no such job.
        """
        return self._get(JobDocument, _job_path(job_id))

    def follow(self, job_id: str) -> Iterator[JobDocument]:
        """A job each time that it changes, up to its end; the server answers when it does.

        A server that goes away meanwhile is waited for, as long as a new start may take.

        Raises:
            NotFoundError: there is no such job, or no more.
            ServerError: no server answers, or none does any more.
        """
        path = _job_path(job_id)
        headers: dict[str, str] = {}
        answered: float | None = None  # when the server did so last
        while True:
            try:
                with self._answering():
                    answer = self._http.get(path, params={"wait": WAIT_SECONDS}, headers=headers)
            except ServerError:
                if answered is None or time.monotonic() - answered > AWAY_SECONDS:
                    raise
                time.sleep(BUSY_SECONDS)
                headers = {}
                continue
            answered = time.monotonic()
            if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and headers:
                # Too many wait: this one asks now and then instead, as it did the first time.
                time.sleep(BUSY_SECONDS)
                headers = {}
            elif answer.is_success:
                job = self._read(JobDocument, answer)
                headers = {"If-None-Match": answer.headers.get("ETag", "")}
                yield job
                if job.status.ended:
                    return
            elif answer.status_code != httpx.codes.NOT_MODIFIED:
                raise self._refusal(answer)

    def jobs(self, *, limit: int) -> JobPage:
        """The newest jobs."""
        return self._get(JobPage, f"{API}/jobs", {"limit": limit})

    def items(self, job_id: str) -> Iterator[ItemDocument]:
        """All items of a job."""
        pages = self._pages(ItemPage, f"{_job_path(job_id)}/items", {})
        return (item for page in pages for item in page.items)

    def tracks(self, job_id: str, filters: Parameters | None = None) -> Iterator[TrackDocument]:
        """All tracks of a job that pass the filters."""
        pages = self._pages(TrackPage, f"{_job_path(job_id)}/tracks", filters or {})
        return (track for page in pages for track in page.tracks)

    def faces(
        self, job_id: str | None, filters: Parameters | None = None
    ) -> Iterator[FaceDocument]:
        """All faces that pass the filters, of one job or of all."""
        path = f"{_job_path(job_id)}/faces" if job_id else f"{API}/faces"
        pages = self._pages(FacePage, path, filters or {})
        return (face for page in pages for face in page.faces)

    def artifacts(self, job_id: str) -> Iterator[ArtifactDocument]:
        """All artifacts of a job."""
        pages = self._pages(ArtifactPage, f"{_job_path(job_id)}/artifacts", {})
        return (artifact for page in pages for artifact in page.artifacts)

    def artifact_url(self, artifact: ArtifactDocument) -> str:
        """Where an artifact is downloaded from."""
        return f"{self._server}{_job_path(artifact.job_id)}/artifacts/{artifact.id}"

    def download(self, artifact: ArtifactDocument, folder: Path) -> Path:
        """Fetch an artifact into `folder`; it has its name only when it is whole.

        Raises:
            ServerError: the bytes that arrived are not the ones the server recorded.
        """
        target = folder / Path(artifact.name).name
        part = target.with_name(target.name + ".part")
        try:
            with self._answering(), self._http.stream("GET", self.artifact_url(artifact)) as answer:
                if not answer.is_success:
                    answer.read()
                    raise self._refusal(answer)
                received, sha256 = 0, hashlib.sha256()
                with part.open("wb") as file:
                    for chunk in answer.iter_bytes(DOWNLOAD_CHUNK):
                        received += file.write(chunk)
                        sha256.update(chunk)
            if received != artifact.bytes:
                raise _not_as_recorded(
                    f"{artifact.name} broke off after {received} of {artifact.bytes} bytes: "
                    "download it again."
                )
            if sha256.hexdigest() != artifact.sha256:
                raise _not_as_recorded(
                    f"{artifact.name} is not the file that the server recorded (by its SHA-256): "
                    "download it again. If that does not help, it was damaged on the server."
                )
            return part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def cancel(self, job_id: str) -> JobDocument:
        """Cancel a job.

        Raises:
            ServerError: it had already ended.
        """
        return self._act(job_id, "cancel")

    def pause(self, job_id: str) -> JobDocument:
        """Hold a job until it is resumed.

        Raises:
            ServerError: it had already ended.
        """
        return self._act(job_id, "pause")

    def resume(self, job_id: str) -> JobDocument:
        """Let a job go on that is paused or waits for space.

        Raises:
            ServerError: it had already ended.
        """
        return self._act(job_id, "resume")

    def delete(self, job_id: str) -> None:
        """Delete a job with its rows and files."""
        self._request("DELETE", _job_path(job_id))

    def retry(self, job_id: str) -> JobDocument:
        """Work again on what failed of an ended job, or was cancelled.

        Raises:
            ServerError: it has not ended, or there is nothing to try again.
        """
        return self._act(job_id, "retry")

    def prioritise(self, job_id: str, priority: str) -> JobDocument:
        """Change how soon a job is worked on.

        Raises:
            ServerError: it had already ended, or there is no such priority.
        """
        answer = self._request("PATCH", _job_path(job_id), json={"priority": priority})
        return self._read(JobDocument, answer)

    def audit(self, job_id: str | None = None) -> Iterator[AuditDocument]:
        """All deletions, newest first; of one job, or of all."""
        asked: Parameters = {"job": job_id} if job_id else {}
        pages = self._pages(AuditPage, f"{API}/audit", asked)
        return (entry for page in pages for entry in page.entries)

    def _act(self, job_id: str, verb: str) -> JobDocument:
        answer = self._request("POST", f"{_job_path(job_id)}/{verb}")
        return self._read(JobDocument, answer)

    def _submit(
        self, body: Mapping[str, Any], idempotency_key: str | None, owner: str
    ) -> JobDocument:
        # An empty key, of a variable that was not set, is the server's to refuse: left out, each
        # repetition would be a job of its own.
        given = {"Idempotency-Key": idempotency_key, "Faces-Owner": owner or None}
        # What the shell gave that is no text is sent as it came: the server tells what is wrong.
        headers = {
            name: value.encode("utf-8", "surrogateescape")
            for name, value in given.items()
            if value is not None
        }
        answer = self._request("POST", f"{API}/jobs", headers=headers, **body)
        return self._read(JobDocument, answer)

    def _get(
        self, document: type[DocumentType], path: str, parameters: Parameters | None = None
    ) -> DocumentType:
        answer = self._request("GET", path, params=dict(parameters or {}))
        return self._read(document, answer)

    def _pages(
        self, document: type[DocumentType], path: str, parameters: Parameters
    ) -> Iterator[DocumentType]:
        asked: dict[str, Any] = {"limit": MAX_PAGE_SIZE, **parameters}
        while True:
            page = self._get(document, path, asked)
            yield page
            cursor = getattr(page, "next_cursor", None)
            if cursor is None:
                return
            asked["cursor"] = cursor

    def _request(self, method: str, path: str, **request: Any) -> httpx.Response:
        with self._answering():
            answer = self._http.request(method, path, **request)
        if not answer.is_success:
            raise self._refusal(answer)
        return answer

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Turn a server that can't be reached into an error that says so."""
        try:
            yield
        except (httpx.TransportError, httpx.InvalidURL) as error:
            # The reason itself: a proxy whose certificate is not trusted is there, and does answer.
            reason = str(error) or type(error).__name__
            raise ServerError(
                f"No faces_jobs server answers at {self._server} ({reason}): "
                "start one with `faces-jobs up`, or set FACES_JOBS_SERVER_URL.",
                status=0,
                problem={},
            ) from error

    def _read(self, document: type[DocumentType], answer: httpx.Response) -> DocumentType:
        try:
            return document.model_validate_json(answer.content)
        except ValidationError as error:
            raise self._is_no_server() from error

    def _refusal(self, answer: httpx.Response) -> ServerError | NotFoundError:
        try:
            problem = answer.json()
        except ValueError:
            problem = {}
        if not isinstance(problem, dict):
            problem = {}
        detail = problem.get("detail") or problem.get("title") or answer.reason_phrase
        if answer.status_code == httpx.codes.NOT_FOUND:
            return NotFoundError(str(detail)) if "code" in problem else self._is_no_server()
        return ServerError(
            f"The server refused ({answer.status_code}): {detail}",
            status=answer.status_code,
            problem=problem,
        )

    def _is_no_server(self) -> ServerError:
        return ServerError(
            f"What answers at {self._server} is no faces_jobs server, or one of another version: "
            "correct FACES_JOBS_SERVER_URL.",
            status=0,
            problem={},
        )


def _not_as_recorded(told: str) -> ServerError:
    return ServerError(told, status=200, problem={})


def _job_path(job_id: str) -> str:
    return f"{API}/jobs/{quote(job_id, safe='', errors='replace')}"


def _certificates_for(server: str) -> ssl.SSLContext:
    if server.lower().startswith("https:"):
        return trusted_certificates()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # none: reading them takes a command's while
