"""Validates the syntax of webhook URLs; nothing is resolved here."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

MAX_URL_CHARACTERS = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}


def split_webhook_url(url: str) -> SplitResult:
    """Validate a webhook's URL and split it into its parts.

    Raises:
        ValueError: no delivery could be sent to this URL; the message says why.
    """
    if len(url) > MAX_URL_CHARACTERS:
        raise ValueError(f"must have at most {MAX_URL_CHARACTERS} characters")
    # URL parsers disagree about blanks, backslashes and non-ASCII characters: all are rejected.
    if not all("!" <= letter <= "~" and letter != "\\" for letter in url):
        raise ValueError("must be an ASCII URL without blanks: write other characters as %xx")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("must be a URL such as https://example.org/hook") from error
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or port == 0:
        raise ValueError("must be a URL such as https://example.org/hook")
    if "@" in parts.netloc:
        raise ValueError("must not contain a user name or password")
    if parts.fragment:
        raise ValueError("must not have a fragment (the part after #)")
    return parts


def port_of(parts: SplitResult) -> int:
    """Return the port of a webhook's URL, or the default port of its scheme."""
    return parts.port or DEFAULT_PORTS[parts.scheme]
