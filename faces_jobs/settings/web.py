"""Settings of the web server: where it listens, who may ask it, and how it is found."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

MIN_TOKEN_CHARACTERS = 16
MAKE_ONE = "make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"


class WebSettings(BaseModel):
    """The API and the pages, and the folders of the server that they may submit."""

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
        description="Requests that the web server answers at the same time.",
    )
    web_waiters: int = Field(
        default=64,
        ge=0,
        le=512,
        description="Further requests that may wait for a job to change (events, `wait`).",
    )
    web_silence_seconds: float = Field(
        default=60.0,
        ge=1,
        le=3600,
        description="How long the web server waits for the next byte of a request, for all of its "
        "head, or for a client to take more of an answer; then it closes the connection.",
    )
    access_token: SecretStr | None = Field(
        default=None,
        description="Bearer token of the API and password of the pages. At least 16 characters.",
    )
    server_url: str = Field(
        default="",
        description="Where the commands that talk to a server find it. "
        "Empty: `http://127.0.0.1:<port>`.",
    )
    roots: dict[str, Path] = Field(
        default_factory=dict,
        description="Server folders that may be submitted by name, as JSON: "
        '`{"films": "/srv/films"}`. None by default.',
    )

    @field_validator("access_token")
    @classmethod
    def _token_is_long_and_fits_a_header(cls, token: SecretStr | None) -> SecretStr | None:
        said = "" if token is None else token.get_secret_value()
        if token is not None and len(said) < MIN_TOKEN_CHARACTERS:
            raise ValueError(f"must have at least {MIN_TOKEN_CHARACTERS} characters; {MAKE_ONE}")
        if not (said.isascii() and said.isprintable()):
            raise ValueError(
                "must be of ASCII letters, digits and signs, as it travels in an HTTP header; "
                f"{MAKE_ONE}"
            )
        return token

    @field_validator("server_url")
    @classmethod
    def _server_is_a_url(cls, said: str) -> str:
        if said and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", said):
            raise ValueError("must begin with http:// or https://, like http://127.0.0.1:8000")
        return said

    @field_validator("roots")
    @classmethod
    def _roots_are_folders(cls, roots: dict[str, Path]) -> dict[str, Path]:
        for name, folder in roots.items():
            if not name or not all(letter.isalnum() or letter in "-_." for letter in name):
                raise ValueError(f"{name!r} is no root name: use letters, digits, '-', '_', '.'")
            if not folder.is_absolute() or not folder.is_dir():
                raise ValueError(f"{name}: {folder} is not an absolute path of a folder")
        return roots

    @model_validator(mode="after")
    def _others_need_a_token(self) -> Self:
        if not is_loopback(self.host) and self.access_token is None:
            raise ValueError(
                f"FACES_JOBS_HOST {self.host} can be reached by others: set "
                "FACES_JOBS_ACCESS_TOKEN, or bind to 127.0.0.1"
            )
        return self

    @property
    def server(self) -> str:
        """The server's base URL for clients, without a slash at the end."""
        return self.server_url.rstrip("/") or f"http://127.0.0.1:{self.port}"


def is_loopback(host: str) -> bool:
    """True for addresses that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
