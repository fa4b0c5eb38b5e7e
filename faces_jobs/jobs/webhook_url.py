"""Which texts can be the address of a webhook, before anybody looks where it leads."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

MAX_URL_CHARACTERS = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}


def split_webhook_url(url: str) -> SplitResult:
    """The parts of a webhook's URL.

    Raises:
        ValueError: it is none that a delivery could be sent to; says why.
    """
    if len(url) > MAX_URL_CHARACTERS:
        raise ValueError(f"must have at most {MAX_URL_CHARACTERS} characters")
    # Readers of URLs disagree about blanks, backslashes and what is not ASCII: none is let in.
    if not all("!" <= letter <= "~" and letter != "\\" for letter in url):
        raise ValueError("must be a URL in ASCII without blanks: write other letters as %xx")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("must be a URL such as https://example.org/hook") from error
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or port == 0:
        raise ValueError("must be a URL such as https://example.org/hook")
    if "@" in parts.netloc:
        raise ValueError("must not hold a name or password")
    if parts.fragment:
        raise ValueError("must not have a part behind #")
    return parts


def port_of(parts: SplitResult) -> int:
    """The port that a webhook's URL leads to."""
    return parts.port or DEFAULT_PORTS[parts.scheme]
