"""Downloads a file whose SHA-256 is known, and keeps nothing else under its name."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx

from faces_jobs.errors import DownloadError, ModelError

_TIMEOUT_SECONDS = 30.0


def download(url: str, to: Path, *, sha256: str, max_bytes: int) -> None:
    """Download `url` to the file `to`, unless that already has this SHA-256.

    The content is written to `.part` beside it, which is renamed once its SHA-256 matches: an
    interrupted download changes nothing.

    Raises:
        DownloadError: the server can't be reached, refuses, or closes the connection early.
        ModelError: the content has another SHA-256, or is larger than `max_bytes`.
    """
    if to.is_file() and hashlib.sha256(to.read_bytes()).hexdigest() == sha256:
        return
    part = to.with_name(f"{to.name}.part")
    try:
        found = _fetch(url, part, max_bytes)
        if found != sha256:
            raise ModelError(
                f"{url} sent another file: it has SHA-256 {found}, not {sha256}. Nothing was "
                "saved. If you use a proxy or a mirror, check what it returns."
            )
        part.replace(to)
    except httpx.HTTPStatusError as error:
        raise DownloadError(
            f"{url} returned {error.response.status_code} {error.response.reason_phrase}. "
            "Try again later, or name a mirror with --url."
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DownloadError(
            f"{url} can't be downloaded: {str(error) or type(error).__name__}. Check the network, "
            f"or copy the file to {to} yourself."
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _fetch(url: str, part: Path, max_bytes: int) -> str:
    """Download into `part`; the SHA-256 is returned."""
    digest, size = hashlib.sha256(), 0
    with (
        httpx.stream("GET", url, follow_redirects=True, timeout=_TIMEOUT_SECONDS) as response,
        part.open("wb") as file,
    ):
        response.raise_for_status()
        for block in response.iter_bytes():
            size += len(block)
            if size > max_bytes:
                raise ModelError(
                    f"{url} sent another file: it is larger than {max_bytes} bytes. Nothing was "
                    "saved."
                )
            digest.update(block)
            file.write(block)
    return digest.hexdigest()
