"""Which certificate authorities are trusted when we are the client: for webhooks and servers."""

from __future__ import annotations

import ssl
from functools import cache

import certifi


@cache
def client_ssl_context() -> ssl.SSLContext:
    """An SSL context that trusts the system's authorities (a company's own included) and certifi's.

    OpenSSL itself reads `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
