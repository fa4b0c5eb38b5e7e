"""Whose certificates are trusted where we are the client: of webhooks' receivers, of a server."""

from __future__ import annotations

import ssl
from functools import cache

import certifi


@cache
def client_ssl_context() -> ssl.SSLContext:
    """The machine's certificates (a company's own among them), and certifi's where it has none.

    OpenSSL itself reads `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
