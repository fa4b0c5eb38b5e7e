"""Downloads a file whose SHA-256 is known beforehand; nothing else ever gets its name."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx

from faces_jobs.errors import DownloadError, ModelError

_TIMEOUT_SECONDS = 30.0


def download(url: str, to: Path, *, sha256: str, max_bytes: int) -> None:
    """Fetch `url` into the file `to`, unless it is there already and whole.

    The content is written beside it (`.part`) and takes the name only when its SHA-256 is right,
    so an interruption leaves what was there before.

    Raises:
        DownloadError: the server can't be reached, refuses, or breaks off.
        ModelError: what it sent is not the file, or larger than it can be.
    """
    if to.is_file() and hashlib.sha256(to.read_bytes()).hexdigest() == sha256:
        return
    part = to.with_name(f"{to.name}.part")
    try:
        found = _fetched(url, part, max_bytes)
        if found != sha256:
            raise ModelError(
                f"What {url} sent is not the file: it has SHA-256 {found}, not {sha256}. Nothing "
                "was kept. If a proxy or a mirror stands between, check what it answers."
            )
        part.replace(to)
    except httpx.HTTPStatusError as error:
        raise DownloadError(
            f"{url} answers {error.response.status_code} {error.response.reason_phrase}. "
            "Try again later, or name a mirror with --url."
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DownloadError(
            f"{url} can't be fetched: {str(error) or type(error).__name__}. Check the network, or "
            f"bring the file from elsewhere and put it at {to}."
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _fetched(url: str, part: Path, max_bytes: int) -> str:
    digest, size = hashlib.sha256(), 0
    with (
        httpx.stream("GET", url, follow_redirects=True, timeout=_TIMEOUT_SECONDS) as answer,
        part.open("wb") as file,
    ):
        answer.raise_for_status()
        for block in answer.iter_bytes():
            size += len(block)
            if size > max_bytes:
                raise ModelError(
                    f"What {url} sends is larger than {max_bytes} bytes, so it is not the "
                    "file. Nothing was kept."
                )
            digest.update(block)
            file.write(block)
    return digest.hexdigest()
