"""Who may ask: the bearer token, the login cookie, and the tokens in forms. Knows no request.

Cookies are signed with a random key kept in the data folder. It is not derived from the access
token: what it signs is shown to people who have no token yet, who could guess at it offline.
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

KEY_FILE = "web_secret_key"
KEY_BYTES = 32
LOGIN_SECONDS = 14 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Access:
    """Checks what a client shows. Without a token everything is open (on loopback)."""

    token: SecretStr | None
    key: bytes

    @property
    def open(self) -> bool:
        """True when no token is set."""
        return self.token is None

    def accepts(self, shown: str) -> bool:
        """True for the access token, in a time that tells nothing about it."""
        if self.token is None:
            return False
        expected = self.token.get_secret_value().encode()
        return hmac.compare_digest(
            self._digest("compare", shown.encode()), self._digest("compare", expected)
        )

    def login(self) -> str:
        """The value of a login cookie, good for `LOGIN_SECONDS` or until the token changes."""
        return self._serializer().dumps(self._token_mark())

    def is_login(self, cookie: str | None) -> bool:
        """True for a cookie that `login` made under the token that is set now."""
        if not cookie or self.token is None:
            return False
        try:
            mark = self._serializer().loads(cookie, max_age=LOGIN_SECONDS)
        except BadSignature:
            return False
        return isinstance(mark, str) and hmac.compare_digest(mark, self._token_mark())

    def form_token(self, seed: str) -> str:
        """What a form carries for a browser whose form cookie is `seed`."""
        return self._digest("form", seed.encode()).hex()

    def is_form_token(self, shown: str, seed: str | None) -> bool:
        """True when a form's token belongs to the browser's form cookie."""
        if not seed:
            return False
        return hmac.compare_digest(shown.encode(), self.form_token(seed).encode())

    def _serializer(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self.key, salt="faces-jobs-login")

    def _token_mark(self) -> str:
        token = self.token.get_secret_value() if self.token else ""
        return self._digest("login", token.encode()).hex()

    def _digest(self, purpose: str, message: bytes) -> bytes:
        return hmac.digest(self.key, purpose.encode() + b"\0" + message, hashlib.sha256)


def new_form_seed() -> str:
    """A value for the form cookie of a browser that has none."""
    return secrets.token_urlsafe(24)


def open_access(token: SecretStr | None, data_folder: Path) -> Access:
    """Access with the data folder's key, made there at the first start."""
    return Access(token=token, key=_key(data_folder / KEY_FILE))


def _key(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    if not path.exists():
        # Written beside and linked, so that two servers that start at once agree on one key.
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        try:
            os.link(part, path)
        except FileExistsError:
            pass  # the other server's key is as good
        finally:
            part.unlink()
    return path.read_bytes()
