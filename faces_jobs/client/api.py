"""The client of the API: one method per operation."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from faces_jobs.client.connection import SUBMISSION_TIMEOUT, Connection, Parameters
from faces_jobs.client.file_to_send import FileToSend
from faces_jobs.errors import ServerError
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

API = "/api/v1"
OCTETS = "application/octet-stream"
DOWNLOAD_CHUNK = 1 << 20
LONG_POLL_SECONDS = 20
RETRY_DELAY_SECONDS = 1.0
# A restart of the server takes less than this; whoever follows a job waits for it.
RECONNECT_FOR_SECONDS = 60.0
# Answered by a proxy while the server behind it restarts, by the server while its database does,
# and if too many long polls are waiting.
AWAY = frozenset(
    {httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT}
)


class Client:
    """Client of one faces_jobs server; a context manager."""

    def __init__(self, server: str, *, access_token: SecretStr | None = None) -> None:
        self._connection = Connection(server, access_token=access_token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()

    @property
    def server(self) -> str:
        """The server's base URL, for links shown to the user."""
        return self._connection.server

    def is_up(self) -> bool:
        """True if the server passes its health check."""
        try:
            return self._connection.send("GET", "/healthz").is_success
        except ServerError:
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
        return self._connection.get(JobDocument, _job_path(job_id))

    def follow(self, job_id: str) -> Iterator[JobDocument]:
        """Yield a job at once and each time that it changes, until it has ended (by long polling).

        If the server stops responding, or is away, requests are retried for RECONNECT_FOR_SECONDS.

        Raises:
            NotFoundError: there is no such job, or it was deleted meanwhile.
            ServerError: the server does not respond, or not again in time.
        """
        path = _job_path(job_id)
        headers: dict[str, str] = {}
        responded_at: float | None = None  # when the server last did
        while True:
            try:
                response = self._connection.send(
                    "GET", path, params={"wait": LONG_POLL_SECONDS}, headers=headers
                )
                if response.status_code in AWAY:
                    raise self._connection.error_of(response)
            except ServerError:
                if responded_at is None or time.monotonic() - responded_at > RECONNECT_FOR_SECONDS:
                    raise
                time.sleep(RETRY_DELAY_SECONDS)
                headers = {}  # without them the next request does not wait
                continue
            responded_at = time.monotonic()
            if response.is_success:
                job = self._connection.read(JobDocument, response)
                headers = {"If-None-Match": response.headers.get("ETag", "")}
                yield job
                if job.status.ended:
                    return
            elif response.status_code != httpx.codes.NOT_MODIFIED:
                raise self._connection.error_of(response)

    def jobs(self, *, limit: int) -> JobPage:
        """The newest jobs, at most `limit`."""
        return self._connection.get(JobPage, f"{API}/jobs", {"limit": limit})

    def items(self, job_id: str) -> Iterator[ItemDocument]:
        """All items of a job."""
        pages = self._connection.pages(ItemPage, f"{_job_path(job_id)}/items", {})
        return (item for page in pages for item in page.items)

    def tracks(self, job_id: str, filters: Parameters | None = None) -> Iterator[TrackDocument]:
        """All tracks of a job that match the filters."""
        pages = self._connection.pages(TrackPage, f"{_job_path(job_id)}/tracks", filters or {})
        return (track for page in pages for track in page.tracks)

    def faces(
        self, job_id: str | None, filters: Parameters | None = None
    ) -> Iterator[FaceDocument]:
        """All faces that match the filters, of one job or of all jobs."""
        path = f"{_job_path(job_id)}/faces" if job_id else f"{API}/faces"
        pages = self._connection.pages(FacePage, path, filters or {})
        return (face for page in pages for face in page.faces)

    def artifacts(self, job_id: str) -> Iterator[ArtifactDocument]:
        """All artifacts of a job."""
        pages = self._connection.pages(ArtifactPage, f"{_job_path(job_id)}/artifacts", {})
        return (artifact for page in pages for artifact in page.artifacts)

    def artifact_url(self, artifact: ArtifactDocument) -> str:
        """The URL from which an artifact is downloaded."""
        return f"{self.server}{_job_path(artifact.job_id)}/artifacts/{artifact.id}"

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
            with self._connection.stream(self.artifact_url(artifact)) as response:
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
        self._connection.request("DELETE", _job_path(job_id))

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
        response = self._connection.request("PATCH", _job_path(job_id), json={"priority": priority})
        return self._connection.read(JobDocument, response)

    def audit(self, job_id: str | None = None) -> Iterator[AuditDocument]:
        """The audit entries of deletions, newest first; of one job or of all jobs."""
        parameters: Parameters = {"job": job_id} if job_id else {}
        pages = self._connection.pages(AuditPage, f"{API}/audit", parameters)
        return (entry for page in pages for entry in page.entries)

    def _post_action(self, job_id: str, action: str) -> JobDocument:
        response = self._connection.request("POST", f"{_job_path(job_id)}/{action}")
        return self._connection.read(JobDocument, response)

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
        response = self._connection.request(
            "POST", f"{API}/jobs", headers=headers, timeout=SUBMISSION_TIMEOUT, **body
        )
        return self._connection.read(JobDocument, response)


def _download_error(message: str) -> ServerError:
    return ServerError(message, status=httpx.codes.OK, problem={})


def _job_path(job_id: str) -> str:
    return f"{API}/jobs/{quote(job_id, safe='', errors='replace')}"
