"""Settings of the web server: where it listens, who has access, and its limits."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from types import MappingProxyType
from typing import Self

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

MIN_TOKEN_CHARACTERS = 16
CREATE_HINT = "create one with: python -c 'import secrets; print(secrets.token_urlsafe())'"

# A server that is bound to all addresses is reached at these.
_REACHED_AS = MappingProxyType({"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"})  # noqa: S104 (not bound to)


class WebSettings(BaseModel):
    """The API and the pages, and the server folders that may be submitted."""

    host: str = Field(
        default="127.0.0.1",
        description="Address that the web server binds to. Anything but loopback requires "
        "an access token.",
    )
    port: int = Field(default=8000, ge=0, le=65535, description="Port of the web server.")
    web_threads: int = Field(
        default=8,
        ge=1,
        le=256,
        description="Requests that the web server handles concurrently.",
    )
    web_waiters: int = Field(
        default=64,
        ge=0,
        le=512,
        description="Additional requests that may wait for a job to change (events, `wait`).",
    )
    web_silence_seconds: float = Field(
        default=60.0,
        ge=1,
        le=3600,
        description="How long the web server waits for the next byte of a request, for all of its "
        "headers, or for a client to read more of a response; then it closes the connection. The "
        "body must also arrive at 1,000 bytes per second or more, measured over this time.",
    )
    access_token: SecretStr | None = Field(
        default=None,
        description="Bearer token of the API and password of the pages. At least 16 characters.",
    )
    server_url: str = Field(
        default="",
        description="URL of the server, for the commands that connect to one. "
        "Empty: the one that these settings start.",
    )
    roots: dict[str, Path] = Field(
        default_factory=dict,
        description="Server folders that may be submitted by name, as JSON: "
        '`{"films": "/srv/films"}`. None by default.',
    )

    @field_validator("access_token")
    @classmethod
    def _check_access_token(cls, token: SecretStr | None) -> SecretStr | None:
        text = "" if token is None else token.get_secret_value()
        if token is not None and len(text) < MIN_TOKEN_CHARACTERS:
            raise ValueError(f"must have at least {MIN_TOKEN_CHARACTERS} characters; {CREATE_HINT}")
        if not (text.isascii() and text.isprintable()) or text != text.strip():
            raise ValueError(
                "must consist of printable ASCII characters, without blanks at its ends, as it is "
                f"sent in an HTTP header; {CREATE_HINT}"
            )
        return token

    @field_validator("server_url")
    @classmethod
    def _check_server_url(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", value):
            raise ValueError("must be an http:// or https:// URL, such as http://127.0.0.1:8000")
        return value

    @field_validator("roots")
    @classmethod
    def _check_roots(cls, roots: dict[str, Path]) -> dict[str, Path]:
        for name, folder in roots.items():
            if not name or not all(letter.isalnum() or letter in "-_." for letter in name):
                raise ValueError(
                    f"{name!r} is not a valid root name: use letters, digits, '-', '_', '.'"
                )
            if not folder.is_absolute() or not folder.is_dir():
                raise ValueError(f"{name}: {folder} is not an absolute path of an existing folder")
        return roots

    @model_validator(mode="after")
    def _check_token_is_set(self) -> Self:
        if not is_loopback(self.host) and self.access_token is None:
            raise ValueError(
                f"FACES_JOBS_HOST {self.host} can be reached from other machines: set "
                "FACES_JOBS_ACCESS_TOKEN, or bind to 127.0.0.1"
            )
        return self

    @property
    def server(self) -> str:
        """The server's base URL for clients, without a trailing slash."""
        return self.server_url.rstrip("/") or self.own_server

    @property
    def own_server(self) -> str:
        """The base URL, for clients on this machine, of the server that these settings start."""
        return f"http://{url_host(_REACHED_AS.get(self.host, self.host))}:{self.port}"


def url_host(host: str) -> str:
    """The host as a URL has it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Whether this is an address that only this machine can reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
