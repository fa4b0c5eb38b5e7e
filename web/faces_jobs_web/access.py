"""Verifies access tokens, login cookies and form tokens; independent of Flask.

Cookies and form tokens are signed with a random key kept in the data folder. The key is not
derived from the access token: clients without a token receive signed values (form tokens), and
could use them to guess the token offline.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from itsdangerous import BadSignature, URLSafeTimedSerializer
from pydantic import SecretStr

from faces_jobs.settings.storage import WEB_KEY_NAME

KEY_BYTES = 32
LOGIN_SECONDS = 14 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Access:
    """Creates and verifies credentials. Without a token access is open (on loopback only)."""

    token: SecretStr | None
    key: bytes

    @property
    def is_open(self) -> bool:
        """Whether no access token is required."""
        return self.token is None

    def accepts(self, token: str) -> bool:
        """Return whether this is the access token, in a time that reveals nothing about it."""
        if self.token is None:
            return False
        expected = self.token.get_secret_value().encode()
        return hmac.compare_digest(
            self._digest("compare", token.encode()), self._digest("compare", expected)
        )

    def login(self) -> str:
        """Return a login cookie, valid for `LOGIN_SECONDS` or until the access token changes."""
        return self._serializer().dumps(self._token_digest())

    def is_login(self, cookie: str | None) -> bool:
        """Return whether `login` made this cookie for the current access token."""
        if not cookie or self.token is None:
            return False
        try:
            digest = self._serializer().loads(cookie, max_age=LOGIN_SECONDS)
        except BadSignature:
            return False
        return isinstance(digest, str) and hmac.compare_digest(digest, self._token_digest())

    def form_token(self, seed: str) -> str:
        """Return the form token for a browser whose form cookie is `seed`."""
        return self._digest("form", seed.encode()).hex()

    def is_form_token(self, token: str, seed: str | None) -> bool:
        """Return whether a form's token belongs to the browser's form cookie."""
        if not seed:
            return False
        return hmac.compare_digest(token.encode(), self.form_token(seed).encode())

    def _serializer(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self.key, salt="faces-jobs-login")

    def _token_digest(self) -> str:
        token = self.token.get_secret_value() if self.token else ""
        return self._digest("login", token.encode()).hex()

    def _digest(self, purpose: str, message: bytes) -> bytes:
        return hmac.digest(self.key, purpose.encode() + b"\0" + message, hashlib.sha256)


def new_form_seed() -> str:
    """Return a new value for the form cookie."""
    return secrets.token_urlsafe(24)


def open_access(token: SecretStr | None, data_folder: Path) -> Access:
    """Return the access checks with the data folder's key, which the first start creates."""
    return Access(token=token, key=_load_or_create_key(data_folder / WEB_KEY_NAME))


def _load_or_create_key(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    if not path.exists():
        # Written to a temporary file and linked, so that two servers that start at the same time
        # use the same key.
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        try:
            os.link(part, path)
        except FileExistsError:
            pass  # another server was faster: its key is used
        finally:
            part.unlink()
    return path.read_bytes()
